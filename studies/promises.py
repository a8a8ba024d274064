"""What the rule must hold, line by line, and what it does: simulated worlds against stated limits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from overmem.records import Estimate
from studies.judgements import Judgements, judgements, right
from studies.page import table
from studies.worlds import World, truth
from studies.worlds.kinds import CONDITIONS, HEALTHY, OVER, SHAPES

NULLS = (
    "flat",
    "healthy, rise just below the limit",
    "under-trained",
    "over-fitted",
    "over-fitted, steadily",
    "over-fitted, gathering speed",
    "over-fitted after a peak",
    "only worse",
    "over-memorized",
)
"""Kinds of run laid over every condition: none may be called over-memorized where it is not."""
MANY = 200
"""Checkpoints from which a cell gets a twentieth of the runs: each costs fifty times as much."""
UNTEMPTING = ("under-trained", "only worse", "over-memorized")
"""Kinds of run that no rule so far took for over-memorized where they are not: a quarter of the runs."""
FIRST = tuple(CONDITIONS)[: tuple(CONDITIONS).index("50 checkpoints")]
"""Conditions that bear on the accuracy or on luck; the others get three tenths of the runs."""


def cell_runs(world: World, kind: str, condition: str, runs: int) -> int:
    """Runs of one cell."""
    if world.checkpoints >= MANY:
        return max(runs // 20, 2)
    base = runs if condition in FIRST else 3 * runs // 10
    return max(base // 4, runs // 10, 2) if kind in UNTEMPTING else max(base, 2)


@dataclass(frozen=True)
class Promise:
    """A share of the runs of a world, and what it must be."""

    what: str
    world: World
    count: Callable[[Judgements], int]
    most: float | None = None
    least: float | None = None


def _right(world: World) -> tuple[str, ...]:
    return right(truth(world))


def decided(what: str, world: World, least: float) -> Promise:
    """The last checkpoint is named rightly."""
    return Promise(f"{what}: decided rightly", world, lambda j: j.decided(*_right(world)), least=least)


def decided_or_leaning(what: str, world: World, least: float) -> Promise:
    """The last checkpoint is named rightly, or leans so."""
    return Promise(
        f"{what}: decided or leaning rightly", world, lambda j: j.decided_or_leaning(*_right(world)), least=least
    )


def called(what: str, world: World, name: str, most: float) -> Promise:
    """The last checkpoint is called what it is not."""
    return Promise(f"{what}: called {name}", world, lambda j: j.decided(name), most=most)


def promises() -> list[Promise]:
    """The lines."""
    luck_of_one_point, luck_of_two_points = replace(OVER, accuracy_luck=0.01), replace(OVER, accuracy_luck=0.02)
    risen, template = replace(OVER, memory=0.0), World(level=0.03, rise=0.5, tokens=100.0, n=500)
    free = replace(HEALTHY, level=2.2, rise=0.04, n=500)
    lines = [
        decided("over-memorized, n = 1,000", OVER, 0.93),
        decided("over-memorized, n = 500", replace(OVER, n=500), 0.75),
        decided_or_leaning("over-memorized, n = 300", replace(OVER, n=300), 0.85),
        decided("over-memorized, nll luck of 0.02 nats", replace(OVER, nll_luck=0.05), 0.80),
        decided_or_leaning("over-memorized, accuracy luck of 1 point", luck_of_one_point, 0.80),
        decided_or_leaning("over-memorized, accuracy luck of 2 points", luck_of_two_points, 0.65),
        called("over-memorized, accuracy luck of 1 point", luck_of_one_point, "over-fitted", 0.05),
        called("over-memorized, accuracy luck of 2 points", luck_of_two_points, "over-fitted", 0.10),
        called("risen without memory", risen, "over-memorized", 0.02),
        called("risen without memory, n = 300", replace(risen, n=300), "over-memorized", 0.02),
        called("risen with memory of 0.35", replace(OVER, memory=0.35), "over-memorized", 0.02),
        decided("template of 0.03 nats, risen by half, n = 500", template, 0.80),
        decided("free text of 2.2 nats, risen by 4%, n = 500", free, 0.80),
    ]
    for n in (500, 1000):
        for decline in ("soon", "steady", "gathering", "peak"):
            limit = World(n=n, loss=0.03, decline=decline, learning=0.03)
            what = f"loss of exactly the margin, {decline}, n = {n:,}: accuracy called kept"
            lines.append(Promise(what, limit, lambda j: j.kept, most=0.06))
    return lines


def promise_table(runs: int, folder: Path | None = None) -> str:
    """Each line, measured."""
    rows = []
    for promise in promises():
        share = _share(promise, runs, folder)
        limit = (
            f"at most {100 * promise.most:.0f}"
            if promise.most is not None
            else f"at least {100 * (promise.least or 0):.0f}"
        )
        rows.append((promise.what, limit, shown(share), "yes" if _held(promise, share) else "**no**"))
    return table(("line", "limit, %", "measured, % (95% interval)", "held"), rows)


def _share(promise: Promise, runs: int, folder: Path | None) -> Estimate:
    judged = judgements(promise.world, runs, folder)
    return judged.rate(promise.count(judged))


def _held(promise: Promise, share: Estimate) -> bool:
    value = share.value or 0.0
    return (promise.most is None or value <= promise.most) and (promise.least is None or value >= promise.least)


def shown(share: Estimate) -> str:
    """A share as percent with its interval."""
    return f"{100 * (share.value or 0):.1f} ({100 * (share.low or 0):.1f}–{100 * (share.high or 0):.1f})"


def laid_over(kind: str, condition: str) -> World:
    """A kind of run under a condition."""
    changes = dict(CONDITIONS[condition])
    if SHAPES[kind].growth == "early":
        changes.pop("growth", None)
    return replace(SHAPES[kind], **changes)  # type: ignore[arg-type]


def alarm_table(
    runs: int,
    kinds: Sequence[str] = NULLS,
    conditions: Sequence[str] = tuple(CONDITIONS),
    folder: Path | None = None,
) -> str:
    """False alarms in every world: of the run, of any checkpoint, and whether a regime comes back."""
    rows = []
    for condition in conditions:
        for kind in kinds:
            world = laid_over(kind, condition)
            count = cell_runs(world, kind, condition, runs)
            judged = judgements(world, count, folder)
            false = 0 if truth(world).over_memorized[-1] else judged.decided("over-memorized")
            named = judged.rate(judged.decided(*_right(world))), judged.rate(judged.decided_or_leaning(*_right(world)))
            rows.append(
                (
                    condition,
                    kind,
                    count,
                    shown(judged.rate(false)),
                    shown(judged.rate(judged.any_false)),
                    *(f"{100 * (s.value or 0):.0f}" for s in named),
                    f"{100 * judged.alternating / count:.0f}",
                )
            )
    head = (
        "world",
        "run",
        "runs",
        "falsely over-memorized, %",
        "any checkpoint falsely, %",
        "decided rightly, %",
        "or leaning rightly, %",
        "regime comes back, %",
    )
    return table(head, rows)
