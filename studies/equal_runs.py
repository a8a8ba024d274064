"""Two equal recipes compared, with one seed and with several: how often `compare` claims a difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from overmem import statistics
from overmem.compare.pairs import Tested, corrected
from overmem.compare.seeds import over_seeds
from overmem.records import Checkpoint, Curves, Limits
from overmem.seeds import generator
from overmem.verdict.matching import NO_LUCK, RESAMPLES, Place, difference_of, places, run_luck
from studies.page import table
from studies.promises import shown
from studies.worlds import World
from studies.worlds.curves import accuracy, nll
from studies.worlds.draw import _correct as answers_of_examples
from studies.worlds.draw import _nll as nll_of_examples
from studies.worlds.kinds import FLAT, OVER
from studies.worlds.truth import times

LIMITS = Limits(d_nll=0.05)
LUCKY: Mapping[str, Any] = {"accuracy_luck": 0.01, "nll_luck": 0.02}


@dataclass(frozen=True)
class Recipes:
    """Two recipes, and how often each is trained."""

    a: World
    b: World
    seeds: int = 1


def drawn_both(recipes: Recipes, *seed: object) -> list[tuple[Curves, Curves]]:
    """Val and test of one seed of both recipes: the same questions, as both runs are audited on them."""
    rng = generator("equal runs", recipes, *seed)
    worlds = (recipes.a, recipes.b)
    surprise, right = [], []
    for world in worlds:
        t = times(world)
        surprise.append(nll(world, t) * np.exp(world.nll_luck * rng.standard_normal(len(t))))
        right.append(accuracy(world, t) + world.accuracy_luck * rng.standard_normal(len(t)))
    world = replace(recipes.a, base=False)
    questions = -(-world.n // world.rows_per_question)
    group = np.repeat(np.arange(questions), world.rows_per_question)[: world.n]
    groups = group if world.rows_per_question > 1 else None
    splits = []
    for _ in ("val", "test"):
        sums, tokens = nll_of_examples(rng, world, np.concatenate(surprise), group)
        correct = answers_of_examples(rng, world, np.concatenate(right), group)
        cut = len(surprise[0])
        splits.append(
            tuple(
                Curves(checkpoints_of(len(sums[part])), sums[part], tokens, correct[part], groups=groups)
                for part in (slice(None, cut), slice(cut, None))
            )
        )
    return splits  # type: ignore[return-value]


def checkpoints_of(count: int) -> tuple[Checkpoint, ...]:
    """Names of as many checkpoints."""
    return tuple(Checkpoint(f"checkpoint-{100 * i}", 100 * i) for i in range(1, count + 1))


def _tested(recipes: Recipes, seed: object, number: int) -> list[Tested]:
    val, test = drawn_both(recipes, seed, number)
    lucks = (run_luck(val[0]), run_luck(val[1])) if recipes.seeds == 1 else (NO_LUCK, NO_LUCK)
    nothing = statistics.share(0, 1)
    return [
        Tested(place, "a", "b", (nothing, nothing), difference_of(place, *test, LIMITS, lucks))
        for place in places(*val, LIMITS, resamples=RESAMPLES if recipes.seeds == 1 else 0)
    ]


@dataclass(frozen=True)
class Claims:
    """What one comparison claims: of the accuracy, of the nll of the two recipes, and of a contrast."""

    accuracy: bool
    nll: bool
    contrast: Place | None
    equal: bool
    """The last checkpoints are shown to be equally accurate."""


def claims(recipes: Recipes, seed: object) -> Claims:
    """One comparison."""
    tested = [_tested(recipes, seed, number) for number in range(recipes.seeds)]
    if recipes.seeds > 1:
        rows = [r for r in over_seeds(tested, LIMITS) if r.shown]
        fixed = {r.name for r in rows if r.kind != "contrast"}
        contrast = next((t.place for t in tested[0] if t.is_contrast), None)
        is_contrast_shown = any(r.kind == "contrast" for r in rows)
        equal = any(r.kind == "last" and r.name == "equivalence" for r in rows)
        return Claims("accuracy" in fixed, "nll" in fixed, contrast if is_contrast_shown else None, equal)
    pairs = corrected(tested[0], LIMITS.alpha)
    alpha = LIMITS.alpha
    fixed_pairs = [p for p in pairs if not p.is_contrast]
    contrasts = [t.place for t, p in zip(tested[0], pairs, strict=True) if p.is_contrast and (p.p_nll or 0.0) < alpha]
    return Claims(
        any((p.p_accuracy or 0.0) < alpha for p in fixed_pairs),
        any((p.p_nll or 0.0) < alpha for p in fixed_pairs),
        contrasts[0] if contrasts else None,
        any("last" in p.kinds and (p.p_equivalent or 0.0) < alpha for p in fixed_pairs),
    )


EQUAL = replace(OVER, base=False, train=False)
STILL = replace(FLAT, base=False, train=False)
EQUALS: tuple[tuple[str, Recipes, float | None], ...] = tuple(
    (f"{what}, {seeds} seed{'s' if seeds > 1 else ''}", Recipes(world, world, seeds), limit)
    for what, world, limit in (
        ("equal, over-memorized", EQUAL, 0.05),
        ("equal, flat", STILL, 0.05),
        ("equal, nll luck of 2% and accuracy luck of 1 point", replace(EQUAL, **LUCKY), 0.05),
        ("equal, ten rows per question, n = 2,000", replace(EQUAL, n=2000, rows_per_question=10), 0.05),
    )
    for seeds in (1, 5)
)
CASES: tuple[tuple[str, Recipes, float | None], ...] = (
    *EQUALS,
    ("b three points less accurate, 1 seed", Recipes(EQUAL, replace(EQUAL, top=0.77)), None),
    ("b five points less accurate, 1 seed", Recipes(EQUAL, replace(EQUAL, top=0.75)), None),
    (
        "b five points less accurate, luck as above, 5 seeds",
        Recipes(replace(EQUAL, **LUCKY), replace(EQUAL, top=0.75, **LUCKY), 5),
        None,
    ),
    ("b rises by 10% instead of 37.5%, 1 seed", Recipes(EQUAL, replace(EQUAL, rise=0.1)), None),
    (
        "b rises by 10% instead of 37.5%, luck as above, 5 seeds",
        Recipes(replace(EQUAL, **LUCKY), replace(EQUAL, rise=0.1, **LUCKY), 5),
        None,
    ),
)
"""What is simulated, the recipes, and the most comparisons that may claim a difference (None: there is one)."""


def comparison_table(runs: int, cases: Sequence[tuple[str, Recipes, float | None]] = CASES) -> str:
    """How often a difference of the two recipes is claimed, in accuracy or in nll."""
    rows = []
    for what, recipes, most in cases:
        results = [claims(recipes, seed) for seed in range(runs)]
        any_claim = statistics.share(sum(c.accuracy or c.nll for c in results), runs)
        parts = [
            statistics.share(sum(getter), runs)
            for getter in (
                [c.accuracy for c in results],
                [c.nll for c in results],
                [c.equal for c in results],
                [c.contrast is not None for c in results],
            )
        ]
        limit = "–" if most is None else f"at most {100 * most:.0f}"
        within_limit = "–" if most is None else "yes" if (any_claim.value or 0.0) <= most else "**no**"
        rows.append((what, recipes.a.n, runs, limit, shown(any_claim), within_limit, *(shown(p) for p in parts)))
    head = (
        "recipes",
        "n",
        "comparisons",
        "limit, %",
        "a difference is claimed, %",
        "held",
        "in accuracy, %",
        "in nll, %",
        "last shown equally accurate, %",
        "contrast shown, %",
    )
    return table(head, rows)
