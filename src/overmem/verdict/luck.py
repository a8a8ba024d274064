"""The luck of checkpoints: how far a whole checkpoint lies off the trend of the run, beyond what its examples explain.

Another seed, another order of the last batches, and a checkpoint lands a little elsewhere, on val and test alike. More
examples do not remove it. It is read off second differences: each checkpoint against the line through its neighbours,
beyond the sampling variance of that difference. A few differences may be bends of the trend itself.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

ENOUGH = 6
"""Checkpoints from which luck is estimated; of fewer it is assumed."""
USUAL = 3
"""Place in a grid of what luck was on most real runs: assumed where it cannot be estimated."""
BENDS = (0.01, 0.2, 0.4)
"""Shares of second differences that may be bends of the trend; which it is, the run tells."""
BEND = 6.0
"""How many times as wide those are."""
SETTLED = 0.1
"""How many times as probable a bend is where the curve goes up and down after perplexity has risen: a model that is
past its learning curve has no reason to."""


@dataclass(frozen=True)
class Luck:
    """What is known of the standard deviation of luck: values, and how probable each is."""

    values: Float[np.ndarray, " grid"]
    weights: Float[np.ndarray, " grid"]
    assumed: bool
    """It was not estimated: too few checkpoints."""

    @property
    def deviation(self) -> float:
        """Root of the mean variance."""
        return float(np.sqrt(self.weights @ self.values**2))


NLL_GRID = np.array([0.0, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15])
"""Of log nll: relative to its level."""
NLL_PRIOR = np.array([20.0, 4, 4, 3, 2, 1.5, 0.3, 0.03, 0.01])
ACCURACY_GRID = np.array([0.0, 0.004, 0.008, 0.012, 0.016, 0.02, 0.03, 0.04, 0.06])
ACCURACY_PRIOR = np.array([60.0, 4, 3, 2, 2, 2, 1, 1, 0.5])
"""Measured on real runs: 0.3 to 3.9 points."""


def luck(
    values: Float[np.ndarray, " checkpoints"],
    covariance: Float[np.ndarray, "checkpoints checkpoints"],
    grid: Float[np.ndarray, " grid"],
    prior: Float[np.ndarray, " grid"],
    *,
    settled: Bool[np.ndarray, " checkpoints"] | None = None,
) -> Luck:
    """The luck of a run's checkpoints, from the curve and the covariance of its sampling errors.

    Args:
        values: of the curve.
        covariance: of their sampling errors.
        grid: standard deviations of luck that are weighed.
        prior: their weights beforehand.
        settled: the checkpoints at the end among which a curve that goes up and down hardly shows a trend; None for
            none.
    """
    prior = prior / prior.sum()
    count = len(values)
    if count < ENOUGH:
        usual = prior * np.exp(-0.5 * (grid / grid[USUAL]) ** 2)
        return Luck(grid, usual / usual.sum(), True)
    change = second_differences(count)
    seen = change @ values
    sampling = np.maximum((change @ covariance * change).sum(1), 0.0)
    own = (change**2).sum(1)
    variance = sampling[None] + grid[:, None] ** 2 * own[None] + 1e-12
    straight, bent = _normal(seen, variance), _normal(seen, variance * BEND**2)
    slopes = np.diff(values)
    zigzag = np.zeros(count - 2, dtype=bool) if settled is None else settled[:-2] & (slopes[:-1] * slopes[1:] < 0)
    rarer = np.where(zigzag, SETTLED, 1.0)
    likely = [np.log(np.maximum((1 - b * rarer) * straight + b * rarer * bent, 1e-300)).sum(1) for b in BENDS]
    score = 0.6 * np.logaddexp.reduce(likely) + np.log(prior)
    weights = np.exp(score - score.max())
    return Luck(grid, weights / weights.sum(), False)


def second_differences(count: int) -> Float[np.ndarray, "differences checkpoints"]:
    """Each inner checkpoint minus the middle of its neighbours."""
    rows = np.zeros((count - 2, count))
    for i in range(count - 2):
        rows[i, i : i + 3] = (-0.5, 1.0, -0.5)
    return rows


def _normal(x: Float[np.ndarray, " n"], variance: Float[np.ndarray, "grid n"]) -> Float[np.ndarray, "grid n"]:
    return np.asarray(np.exp(-0.5 * x**2 / variance) / np.sqrt(variance))
