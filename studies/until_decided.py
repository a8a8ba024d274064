"""Audits that stop when the end of the run is decided: what they save, and how often they are wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from overmem import statistics
from overmem.records import Curves
from overmem.verdict.anytime import level, looks, out_of_the_race
from overmem.verdict.facts import Facts, facts
from overmem.verdict.leaning import probabilities
from overmem.verdict.naming import names
from overmem.verdict.stretches import settled
from studies.page import table
from studies.promises import shown
from studies.worlds import World, drawn, truth
from studies.worlds.kinds import CONDITIONS, SHAPES, random_world

ALPHA = 0.05


@dataclass(frozen=True)
class Stopped:
    """One run, audited whole and until it was decided."""

    whole: str
    """Regime of its end, from all questions at once."""
    early: str
    """The same, looked at all the time."""
    questions: float
    """Share of the questions that were asked before it stopped."""
    completions: float
    """Share of the completions that were made, on val and on test, the base model's among them."""
    false: bool
    """The end was called over-memorized and is not."""
    whole_false: bool


def _first(curves: Curves, rows: Sequence[int], n: int) -> Curves:
    groups = curves.groups_of(slice(n))
    keep = list(rows)
    return Curves(
        tuple(curves.checkpoints[i] for i in keep),
        curves.nll_sums[keep, :n],
        curves.token_counts[:n],
        curves.correct[keep, :n],
        groups=groups,
    )


def _tested(val: Curves, train: Curves, rows: Sequence[int], n: int, alpha: float) -> Facts:
    evidence = facts(_first(val, rows, n), _first(train, rows, train.correct.shape[1]), alpha=alpha)
    assert evidence is not None
    return evidence


def _end(evidence: Facts, alpha: float) -> str:
    return settled(names(evidence, alpha), probabilities(evidence))[0][-1]


def stopped(world: World, seed: object) -> Stopped:
    """One run of a world."""
    curves, true = drawn(world, seed, splits=("val", "train")), truth(world)
    val, train, planned = curves["val"], curves["train"], world.n
    rows = list(range(len(val.checkpoints)))
    base = [i for i in rows if val.checkpoints[i].step == 0]
    whole = _end(_tested(val, train, rows, planned, ALPHA), ALPHA)
    early, n_asked, dropped = "undecided", planned, 0
    for n_asked in looks(planned):
        alpha = level(n_asked, planned, ALPHA)
        evidence = _tested(val, train, rows, n_asked, alpha)
        early = _end(evidence, alpha)
        if early != "undecided":
            break
        out = [rows[k] for k in out_of_the_race(evidence, alpha)]
        dropped += n_asked * len(out)
        rows = [i for i in rows if i not in out]
    trained = len(rows) - len(base)
    on_val = dropped + n_asked * trained + looks(planned)[0] * len(base)
    on_test = n_asked * (trained + len(base))
    bad = not true.over_memorized[-1]
    return Stopped(
        whole,
        early,
        n_asked / planned,
        (on_val + on_test) / (2 * planned * len(val.checkpoints)),
        bad and early == "over-memorized",
        bad and whole == "over-memorized",
    )


def _row(what: str, n: int, results: Sequence[Stopped]) -> tuple[str, ...]:
    count = len(results)
    decided = [s for s in results if s.whole != "undecided"]
    contrary = sum(s.early not in ("undecided", s.whole) and s.whole != "undecided" for s in results)
    return (
        what,
        f"{n:,}",
        str(count),
        shown(statistics.share(len(decided), count)),
        shown(statistics.share(sum(s.early == s.whole for s in decided), len(decided))),
        shown(statistics.share(contrary, count)),
        _median([s.questions for s in decided]),
        _median([s.completions for s in decided]),
        shown(statistics.share(sum(s.false for s in results), count)),
        shown(statistics.share(sum(s.whole_false for s in results), count)),
    )


def _median(values: Sequence[float]) -> str:
    return f"{100 * float(np.median(values)):.0f}" if values else "–"


HARDEST: dict[str, World] = {
    "loss of exactly the margin, steady": World(loss=0.03, decline="steady", learning=0.03),
    "loss of exactly the margin, soon": World(loss=0.03, decline="soon", learning=0.03),
    "memory of exactly a half": World(memory=0.5),
    "rise of exactly the limit": World(rise=0.15),
}
"""At the limits, where every claim of over-memorization is false and looking often hurts most."""


def until_table(runs: int, n: int = 1000) -> str:
    """Every kind of run, the conditions laid over an over-memorized and an over-fitted one, and worlds at random."""
    rows, kinds = [], []
    for what, world in SHAPES.items():
        results = [stopped(replace(world, n=n), seed) for seed in range(runs)]
        rows.append(_row(what, n, results))
        kinds += results
    rows.append(_row("**all of these kinds**", n, kinds))
    for what, world in HARDEST.items():
        rows.append(_row(what, n, [stopped(replace(world, n=n), seed) for seed in range(3 * runs)]))
    laid = [
        stopped(replace(SHAPES[kind], **{"n": n, **CONDITIONS[what]}), seed)  # type: ignore[arg-type]
        for what in CONDITIONS
        if "checkpoints" not in CONDITIONS[what] or CONDITIONS[what]["checkpoints"] in (5, 20)
        for kind in ("over-memorized", "over-fitted", "over-fitted after a peak", "healthy")
        for seed in range(max(runs // 5, 1))
    ]
    rows.append(_row("**the conditions of verdict.md**", n, laid))
    several = [stopped(replace(random_world("until", seed), n=n), seed) for seed in range(6 * runs)]
    rows.append(_row("**worlds drawn at random**", n, several))
    head = (
        "run",
        "questions planned",
        "runs",
        "decided by all questions, %",
        "of these, the same when stopped, %",
        "the contrary, %",
        "questions asked, % (median)",
        "completions made, % (median)",
        "falsely over-memorized, %",
        "the same by all questions, %",
    )
    return table(head, rows)
