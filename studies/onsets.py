"""How often the interval of the onset holds the truth, in every world that has one.

`python -m studies.onsets` prints the table.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from overmem import statistics
from overmem.records import Limits
from overmem.verdict import onset, regimes
from studies.memo import RULE, cached
from studies.page import table
from studies.worlds import World, drawn, truth
from studies.worlds.kinds import CONDITIONS, OVER, SHAPES

SHAPED = tuple(name for name in SHAPES if name.startswith("over-memorized"))
LIMITS = Limits()
SOURCES = (*RULE, "src/overmem/verdict/onset.py", "src/overmem/verdict/quantities.py", "studies/onsets.py")


def cells() -> dict[str, World]:
    """Worlds whose run is over-memorized at its end, by kind and by condition."""
    worlds = {name: SHAPES[name] for name in SHAPED}
    for condition, changes in CONDITIONS.items():
        worlds[condition] = replace(OVER, **changes)  # type: ignore[arg-type]
    # a stair of 7.5% would rest on the limit of 15% for an epoch: no time is its onset
    worlds["steps at epochs"] = replace(worlds["steps at epochs"], rise=0.45)
    worlds["n = 300"] = replace(OVER, n=300)
    return {name: world for name, world in worlds.items() if truth(world).onset is not None and world.shift == 0}


def coverage(world: World, runs: int) -> list[float]:
    """Runs with an interval, those whose interval holds the truth, the mean width in steps, and the mean error."""
    true = truth(world).onset
    assert true is not None
    covered, widths, errors = 0, [], []
    for seed in range(runs):
        curves = drawn(world, "onset", seed, splits=("val", "train"))
        estimate = onset(curves["val"], regimes(curves["val"], LIMITS, train=curves.get("train")), LIMITS, draws=400)
        step = None if estimate is None else estimate.step
        if step is None or step.value is None or step.low is None or step.high is None:
            continue
        covered += step.low <= true <= step.high
        widths.append(step.high - step.low)
        errors.append(step.value - true)
    return [len(widths), covered, float(np.mean(widths or [0])), float(np.mean(errors or [0]))]


def onset_table(runs: int, folder: Path | None = None) -> str:
    """A row per world."""
    rows = []
    for name, world in cells().items():
        count = max(runs // 2, 5) if world.checkpoints >= 50 else runs
        key, compute = ("onset", world, count), partial(coverage, world, count)
        n_onsets, covered, width, error = cached(folder, key, compute, SOURCES)
        share = statistics.share(covered, int(n_onsets))
        interval = f"{100 * (share.value or 0):.1f} ({100 * (share.low or 0):.1f}–{100 * (share.high or 0):.1f})"
        rows.append((name, world.n, world.checkpoints, count, int(n_onsets), interval, f"{width:.0f}", f"{error:+.0f}"))
    head = ("world", "n", "checkpoints", "runs", "runs with an onset", "interval holds the truth, %")
    return table((*head, "mean width, steps", "mean error, steps"), rows)


if __name__ == "__main__":
    print(onset_table(200))  # noqa: T201
