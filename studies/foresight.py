"""The record of the forecast: how often its interval contained the onset of simulated runs, seen from their start."""

from dataclasses import replace
from math import isfinite

import numpy as np

from overmem import statistics
from overmem.records import Curves
from overmem.verdict.forecast import FEWEST, forecast
from studies.page import table
from studies.trajectories import World, shapes, simulated, truth

SEEN = (0.6, 0.8, 0.95)
"""Fraction of the steps to the onset that has been trained."""


def costly_step(world: World, d_nll: float = 0.05) -> float | None:
    """The step at which the true nll has risen by d_nll above its minimum, whatever the accuracy is."""
    return truth(world, d_nll=d_nll, margin=2.0).onset


def seen(curves: Curves, until: float) -> Curves:
    """The checkpoints up to a step."""
    rows = [i for i, c in enumerate(curves.checkpoints) if c.step <= until]
    return replace(
        curves,
        checkpoints=tuple(curves.checkpoints[i] for i in rows),
        nll_sums=curves.nll_sums[rows],
        correct=curves.correct[rows],
    )


def record(runs: int) -> str:
    """A table: by kind of run and by how far off the onset was."""
    rows = []
    for name in [s for s in shapes(World()) if not s.startswith("over-fitted") and "creeping" not in s]:
        for excess in (0.15, 0.3) if name.startswith("over-memorized") else (0.15,):
            world = World(name, 1000, checkpoints=25, excess=excess)
            onset = costly_step(world)
            for part in SEEN if onset is not None else (1.0,):
                if (row := _row(world, onset, part, runs)) is not None:
                    rows.append(row)
    return table(
        (
            "run",
            "final excess",
            "seen, % of the way",
            "runs",
            "interval holds the onset, %",
            "upper end known, %",
            "median error of the middle, %",
        ),
        rows,
    )


def _row(world: World, onset: float | None, part: float, runs: int) -> tuple[object, ...] | None:
    covered, finite, errors, n_forecasts = 0, 0, [], 0
    for seed in range(runs):
        (curves,) = simulated(world, "foresight", seed)
        until = part * onset if onset is not None else world.steps * part
        so_far = seen(curves, until)
        if len(so_far.checkpoints) < FEWEST:
            return None
        prediction = forecast(so_far, draws=1000).step
        low, high = (
            prediction.low if prediction.low is not None else np.inf,
            prediction.high if prediction.high is not None else np.inf,
        )
        n_forecasts += 1
        finite += isfinite(high)
        covered += low <= onset <= high if onset is not None else not isfinite(high) or high > world.steps
        if onset is not None:
            errors.append(abs(prediction.value - onset) / onset if prediction.value is not None else np.inf)
    share = statistics.share(covered, n_forecasts)
    middle = f"{100 * float(np.median(errors)):.0f}" if errors and isfinite(float(np.median(errors))) else "–"
    held_text = f"{100 * (share.value or 0):.0f} ({100 * (share.low or 0):.0f}–{100 * (share.high or 0):.0f})"
    name = world.shape if onset is not None else f"{world.shape} (no onset: not foretold within the run)"
    return name, world.excess, f"{100 * part:.0f}", n_forecasts, held_text, f"{100 * finite / n_forecasts:.0f}", middle
