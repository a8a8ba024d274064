"""Where a logged loss turned, when nothing but the loss was logged."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Float

from overmem.records import Checkpoint, Estimate
from overmem.verdict.logged_quantities import nll_noise, scatter

LEVEL = 1.645
"""Standard errors within which an evaluation cannot be distinguished from the lowest loss (one-sided 5%)."""


@dataclass(frozen=True, kw_only=True)
class TurningPoint:
    """The lowest point of a loss curve, and what followed it."""

    first: Checkpoint
    lowest: Checkpoint
    last: Checkpoint
    nll: float
    """At the lowest point, in nats per token."""
    step: Estimate
    """The turn, with the interval between the evaluations around all that cannot be distinguished from the lowest."""
    rise: Estimate
    """From the lowest point to the last evaluation, in nats per token."""
    noise: float
    """Standard error of an evaluation."""
    level_since: Checkpoint | None = None
    """First of the evaluations up to the lowest that cannot be distinguished from it; None where it is the only one."""
    is_assumed: bool = False
    """Whether too few evaluations show their scatter, so that the noise is a guess."""

    @property
    def has_turned(self) -> bool:
        """Whether a rise after the lowest point is shown."""
        return self.rise.low is not None and self.rise.low > 0


def turning_point(checkpoints: Sequence[Checkpoint], nll: Float[np.ndarray, " checkpoints"]) -> TurningPoint | None:
    """Where the loss turned; None for fewer than two evaluations.

    The noise of an evaluation is read off the scatter of the curve, or assumed where too few points show it.
    """
    rows = np.flatnonzero(np.isfinite(nll)).tolist()
    if len(rows) < 2:
        return None
    values = nll[rows]
    error = sqrt(2) * nll_noise(nll)
    place = int(values.argmin())
    level = [i for i, value in enumerate(values) if value - values[place] <= LEVEL * error]
    since = next(i for i in range(place + 1) if all(j in level for j in range(i, place + 1)))
    first, last = max(min(level) - 1, 0), min(max(level) + 1, len(rows) - 1)
    rise = float(values[-1] - values[place])
    is_assumed = scatter(nll) is None
    note = "interval from an assumed noise" if is_assumed else "interval from the scatter of the curve"
    return TurningPoint(
        first=checkpoints[rows[0]],
        lowest=checkpoints[rows[place]],
        last=checkpoints[rows[-1]],
        nll=float(values[place]),
        step=Estimate(
            float(checkpoints[rows[place]].step),
            float(checkpoints[rows[first]].step),
            float(checkpoints[rows[last]].step),
            note=note,
        ),
        rise=Estimate(rise, rise - 1.96 * error, rise + 1.96 * error, note=note),
        noise=error / sqrt(2),
        level_since=checkpoints[rows[since]] if since < place else None,
        is_assumed=is_assumed,
    )
