"""The record of the forecast on `studies.worlds`: runs seen from their start, also those that never become costly.

`python -m studies.forecasts` prints the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf, isfinite
from pathlib import Path

import numpy as np

from overmem import statistics
from overmem.verdict.forecast import HORIZON, forecast
from studies.foresight import seen
from studies.memo import cached
from studies.page import table
from studies.promises import shown
from studies.worlds import World, drawn
from studies.worlds.curves import STEPS, nll
from studies.worlds.kinds import FLAT, OVER

RISE = 0.15
CHECKPOINTS = 40
SOURCES = (
    *(f"src/overmem/verdict/{name}.py" for name in ("forecast", "quantities")),
    *(f"studies/worlds/{name}.py" for name in ("curves", "draw", "world")),
    "studies/forecasts.py",
)


@dataclass(frozen=True)
class Seen:
    """A run, of which the checkpoints up to a step are seen."""

    world: World
    until: float


def costly_step(world: World, until: float) -> float:
    """The step at which the trend of the nll has risen by RISE above its lowest so far; infinite beyond the horizon."""
    t = np.linspace(1 / STEPS, HORIZON * until / STEPS, 20_001)
    values = nll(world, t)
    over = values > (1 + RISE) * np.minimum.accumulate(values)
    return float(t[over.argmax()] * STEPS) if over.any() else inf


def cases() -> dict[str, Seen]:
    """Runs on the way to an onset, runs whose rise levels off below the limit, and runs whose rise has not begun."""
    base = replace(OVER, checkpoints=CHECKPOINTS)
    coming: Mapping[str, World] = {
        "over-memorized": base,
        "saturating growth": replace(base, growth="saturating"),
        "nll luck of 2%": replace(base, nll_luck=0.02),
        "nll luck of 5%": replace(base, nll_luck=0.05),
        "heavy tails": replace(base, heavy=True),
        "steps at epochs": replace(base, growth="steps", rise=0.45),
    }
    found = {
        f"{name}, {part:.0%} of the way": Seen(world, part * costly_step(world, STEPS))
        for name, world in coming.items()
        for part in (0.6, 0.8, 0.95)
    }
    late = replace(base, turn=0.6)
    found |= {f"rise begins {after:.0%} after what is seen": Seen(late, 600 / (1 + after)) for after in (0.02, 0.10)}
    levels_off = replace(base, growth="saturating", rise=0.12)
    found |= {f"levels off at 12%, {part:.0%} seen": Seen(levels_off, part * STEPS) for part in (0.4, 0.6, 1.0)}
    return found | {"flat, all seen": Seen(replace(FLAT, checkpoints=CHECKPOINTS), STEPS)}


def counts(case: Seen, runs: int) -> list[float]:
    """Runs whose interval holds the truth, those with an upper end, and the median relative error of the middle."""
    true = costly_step(case.world, case.until)
    held, finite, errors = 0, 0, []
    for seed in range(runs):
        curves = seen(drawn(case.world, "forecast", seed, splits=("val",))["val"], case.until)
        step = forecast(curves, d_nll=RISE * case.world.level, draws=1000).step
        low, high = (inf if end is None else end for end in (step.low, step.high))
        held += low <= true <= high
        finite += isfinite(high)
        if isfinite(true):
            errors.append(abs(step.value - true) / true if step.value is not None else inf)
    middle = float(np.median(errors)) if errors else inf
    return [held, finite, middle if isfinite(middle) else -1.0]


def forecast_table(runs: int, folder: Path | None = None) -> str:
    """A row per case."""
    rows = []
    for name, case in cases().items():
        held, finite, middle = cached(folder, ("forecast", case, runs), partial(counts, case, runs), SOURCES)
        true = costly_step(case.world, case.until)
        rows.append(
            (
                name,
                runs,
                f"{case.until:.0f}",
                f"{true:.0f}" if isfinite(true) else "never",
                shown(statistics.share(held, runs)),
                f"{100 * finite / runs:.0f}",
                f"{100 * middle:.0f}" if middle >= 0 else "–",
            )
        )
    head = ("run", "runs", "seen until step", "costly at step", "interval holds it, %", "upper end known, %")
    return table((*head, "median error of the middle, %"), rows)


if __name__ == "__main__":
    print(forecast_table(100))  # noqa: T201
