"""What each selection rule picks on the runs of `studies.trajectories`, in tables."""

from collections.abc import Iterable, Sequence

import numpy as np

from overmem import statistics
from studies.judged import Tally
from studies.page import table


def of_world(tally: Tally) -> tuple[object, ...]:
    """The cells of a row that name the world."""
    world = tally.cell.world
    name = "noisy" if world.shape == "flat" and world.noise > 0.3 else world.shape
    return name, world.n, tally.cell.margin


def regret_table(tallies: Iterable[Tally]) -> str:
    """Accuracy lost by each selection rule against the best checkpoint, in points, by the truth."""
    tallies = list(tallies)
    rules = list(tallies[0].regret)
    rows = []
    for t in tallies:
        rows.append((*of_world(t)[:2], *(f"{100 * t.regret[r].mean():.2f}" for r in rules)))
    for n in _examples(tallies):
        rows.append((f"**mean of all, n = {n:,}**", n, *(f"**{_mean(tallies, n, r)}**" for r in rules)))
    shares = [float(np.mean([t.healthy[r] for t in tallies])) for r in rules if r in tallies[0].healthy]
    rows.append(("picked within 0.05 nats of the minimum, %", "", *(f"{100 * s:.0f}" for s in shares)))
    return table(("run", "n", *rules), rows)


def more_table(tallies: Iterable[Tally]) -> str:
    """What each selection rule loses more than the recommended one, paired on the same runs, in points."""
    tallies = list(tallies)
    rules = [r for r in tallies[0].regret if r != "overmem"]
    rows = [(f"n = {n:,}", *(_mean(tallies, n, r, "overmem") for r in rules)) for n in _examples(tallies)]
    return table(("mean of all", *rules), rows)


def _examples(tallies: Iterable[Tally]) -> list[int]:
    return sorted({t.cell.world.n for t in tallies})


def _mean(tallies: Sequence[Tally], n: int, rule: str, less: str | None = None) -> str:
    """Mean regret over the kinds of run, less that of another rule, with its 95% interval."""
    regrets = [t.regret[rule] - (t.regret[less] if less else 0.0) for t in tallies if t.cell.world.n == n]
    error = np.sqrt(sum(r.var(ddof=1) / len(r) for r in regrets)) / len(regrets)
    return f"{100 * np.mean([r.mean() for r in regrets]):.4f} ± {100 * statistics.Z * error:.4f}"
