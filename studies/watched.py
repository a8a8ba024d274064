"""What judging at every checkpoint, as `OvermemCallback` does, costs in false alarms, and how soon it warns.

`python -m studies.watched` prints the table of docs/results/callback.md. The runs are those of
`studies.trajectories`. A warning names the checkpoint at which over-memorization is first shown; it is false
where the population curves, up to the evaluation at which it was given, do not have that checkpoint costly in
perplexity and kept in accuracy.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from overmem import statistics
from overmem.records import Curves, Limits
from overmem.verdict import regimes
from overmem.verdict.onset import first_shown
from studies.page import table
from studies.trajectories import Truth, World, shapes, simulated, truth


@dataclass(frozen=True)
class Watched:
    """Counts over the runs of one world."""

    world: World
    margin: float
    runs: int
    false_ever: int
    """Runs with a false warning at some checkpoint."""
    false_once: int
    """Runs that a single verdict at the end falsely calls over-memorized."""
    warned: tuple[int, ...]
    """The step of the first warning, of every run that has one."""
    onset: float | None
    """The step at which the limits are truly passed."""


def watched(world: World, margin: float, runs: int, d_nll: float = 0.05) -> Watched:
    """Judge `runs` seeded runs at every checkpoint, each time knowing only what came before."""
    true = truth(world, d_nll=d_nll, margin=margin)
    ever, once, warned = 0, 0, []
    for seed in range(runs):
        (val,) = simulated(world, "watched", seed)
        shown = [_shown(val, k, margin, d_nll) for k in range(2, world.checkpoints + 1)]
        false = [at is not None and not _is_true(true, at, k, margin, d_nll) for k, at in enumerate(shown, 2)]
        ever += any(false)
        once += false[-1]
        warned += [val.checkpoints[k - 1].step for k, at in enumerate(shown, 2) if at is not None][:1]
    return Watched(world, margin, runs, ever, once, tuple(warned), true.onset)


def _shown(val: Curves, evaluated: int, margin: float, d_nll: float) -> int | None:
    """The checkpoint at which over-memorization is first shown, by the first `evaluated` ones."""
    so_far = replace(
        val, checkpoints=val.checkpoints[:evaluated], nll_sums=val.nll_sums[:evaluated], correct=val.correct[:evaluated]
    )
    return first_shown(regimes(so_far, Limits(margin=margin, d_nll=d_nll)))


def _is_true(true: Truth, at: int, evaluated: int, margin: float, d_nll: float) -> bool:
    costly = true.nll[at] > true.nll[:evaluated].min() + d_nll
    return bool(costly and true.accuracy[at] > true.accuracy[:evaluated].max() - margin)


def page(runs: int, settings: Sequence[tuple[int, float]] = ((200, 0.05), (1000, 0.03))) -> str:
    """The table: one row per world."""
    rows = []
    for n, margin in settings:
        for name in shapes(World()):
            result = watched(World(name, n, loss=margin + 0.02), margin, runs)
            mean = f"{sum(result.warned) / len(result.warned):.0f}" if result.warned else ""
            rows.append(
                (
                    *(name, n, margin, _percent(result.false_ever, runs), _percent(result.false_once, runs)),
                    *(_percent(len(result.warned), runs), mean, "" if result.onset is None else f"{result.onset:.0f}"),
                )
            )
    head = ("run", "n", "margin", "warned falsely, %", "called falsely at the end, %", "warned, %")
    return table((*head, "first warning, mean step", "true onset, step"), rows)


def _percent(count: int, runs: int) -> str:
    share = statistics.share(count, runs)
    value, low, high = (100 * (x or 0.0) for x in (share.value, share.low, share.high))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300, help="simulated runs a row")
    sys.stdout.write(page(parser.parse_args(argv).runs) + "\n")


if __name__ == "__main__":
    main()
