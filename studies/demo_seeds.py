"""`one-step-back` on five seeds: whether each shows the three stages of over-memorization, as a table.

    overmem sweep studies/demo_seeds.yaml
    python -m studies.demo_seeds runs/demo-seeds

A run shows them if the base model solves at most 0.4 of val, some healthy checkpoint at least 0.85, and the last
checkpoint is over-memorized by `overmem diagnose`, which includes that accuracy is kept.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from overmem import store
from overmem.records import CheckpointVerdict, Estimate, Verdict
from studies.page import table

BASE_AT_MOST = 0.4
BEST_AT_LEAST = 0.85
HEAD = (
    "seed",
    "base, val accuracy",
    "best healthy, val accuracy",
    "last, val accuracy",
    "last minus plateau, points (at worst)",
    "lowest val nll",
    "last val nll",
    "rise of the trend",
    "memory at the end",
    "regime at the end",
    "three stages",
)


def best_healthy(verdict: Verdict) -> CheckpointVerdict | None:
    """The most accurate healthy checkpoint of the run itself, merges excluded; None if there is none."""
    healthy = [c for c in of_the_run(verdict) if c.regime == "healthy"]
    return max(healthy, key=lambda c: c.accuracy.value or 0.0, default=None)


def of_the_run(verdict: Verdict) -> list[CheckpointVerdict]:
    """The checkpoints of the run, without merges."""
    return [c for c in verdict.checkpoints if not c.checkpoint.merged_from]


def shows_three_stages(verdict: Verdict) -> bool:
    """Whether the base is low, a healthy checkpoint high, and the last one over-memorized."""
    first, last = of_the_run(verdict)[0], of_the_run(verdict)[-1]
    best = best_healthy(verdict)
    if best is None or first.accuracy.value is None or best.accuracy.value is None:
        return False
    is_low, is_high = first.accuracy.value <= BASE_AT_MOST, best.accuracy.value >= BEST_AT_LEAST
    return first.checkpoint.step == 0 and is_low and is_high and last.regime == "over-memorized"


def row(seed: int, verdict: Verdict) -> tuple[object, ...]:
    """The row of one seed."""
    first, last = of_the_run(verdict)[0], of_the_run(verdict)[-1]
    best = best_healthy(verdict)
    lowest = min(of_the_run(verdict), key=lambda c: float("inf") if c.nll.value is None else c.nll.value)
    worst = last.tests.worst_gap
    return (
        seed,
        shown(first.accuracy),
        "none" if best is None else f"{shown(best.accuracy)}, epoch {best.checkpoint.epoch:g}",
        shown(last.accuracy),
        "–"
        if last.accuracy_gap.value is None or worst is None
        else f"{100 * last.accuracy_gap.value:+.1f} ({100 * worst:+.1f})",
        shown(lowest.nll),
        shown(last.nll),
        shown(last.excess),
        shown(last.memory, 2),
        last.regime,
        "yes" if shows_three_stages(verdict) else "**no**",
    )


def shown(estimate: Estimate, digits: int = 3) -> str:
    """A number with its interval."""
    if estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f}–{estimate.high:.{digits}f})"


def seeds_table(sweep: Path) -> str:
    """The table of all judged runs of the sweep, in the order of their seeds."""
    verdicts = []
    for path in sweep.glob("runs/*/overmem/verdict.json"):
        seed = int(path.parents[1].name.rpartition("seed-")[2])
        verdicts.append((seed, store.read_verdict(store.open_run(path.parents[1]))))
    verdicts.sort(key=lambda pair: pair[0])
    text = table(HEAD, [row(seed, verdict) for seed, verdict in verdicts])
    count = sum(shows_three_stages(verdict) for _, verdict in verdicts)
    return f"{text}\n\nThree stages: {count} of {len(verdicts)} seeds."


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sweep", type=Path, nargs="?", default=Path("runs/demo-seeds"))
    sys.stdout.write(seeds_table(parser.parse_args(arguments).sweep) + "\n")


if __name__ == "__main__":
    main()
