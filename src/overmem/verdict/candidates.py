"""The candidates to ship, as a selection rule sees them: two figures each, noise taken out, none dominated."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from overmem.records import Curves
from overmem.verdict.luck import ACCURACY_GRID, ACCURACY_PRIOR


@dataclass(frozen=True)
class SelectionInputs:
    """The candidates in time order, as a selection rule sees them."""

    steps: Float[np.ndarray, " checkpoints"]
    nll: Float[np.ndarray, " checkpoints"]
    accuracy: Float[np.ndarray, " checkpoints"]
    noise: Float[np.ndarray, "checkpoints checkpoints"]
    """Covariance of the accuracies' errors."""
    n: int
    """Examples; 0 where unknown."""

    @cached_property
    def smoothed_accuracy(self) -> Float[np.ndarray, " checkpoints"]:
        """The accuracies as `smoothed` has them."""
        return smoothed(self)

    def paired_stderr(self, best: int) -> Float[np.ndarray, " checkpoints"]:
        """Standard error of each accuracy's difference from that of `best`."""
        own = np.diag(self.noise)
        variance = own + own[best] - 2 * self.noise[best]
        return np.asarray(np.sqrt(np.maximum(variance, 1 / max(self.n, 1000) ** 2)))


def selection_inputs(curves: Curves) -> SelectionInputs:
    """What the selection rules see of curves that are complete."""
    n = curves.correct.shape[1]
    noise = np.atleast_2d(np.cov(curves.correct)) / n if n > 1 else np.zeros((len(curves.correct),) * 2)
    return SelectionInputs(
        np.array([c.step for c in curves.checkpoints], dtype=np.float64),
        curves.nll_sums.sum(1) / max(int(curves.token_counts.sum()), 1),
        curves.correct.mean(1),
        noise,
        n,
    )


_LUCKS = tuple(zip(ACCURACY_GRID, ACCURACY_PRIOR, strict=True))
"""The luck of a checkpoint and how likely that is before any data."""


def smoothed(board: SelectionInputs) -> Float[np.ndarray, " checkpoints"]:
    """Accuracies with the noise that their covariance explains taken out: the mean of a walk and luck, given them.

    The true accuracy is a priori a random walk over the logarithm of the step, because models learn fast at first, plus
    the luck of each checkpoint, which is its own and is shipped with it. The errors have the covariance that the
    examples show; they alone are taken out. The variances of walk and luck are averaged over their likelihood. Fewer
    than four checkpoints stay as they are.
    """
    means, count = board.accuracy, len(board.accuracy)
    if count < 4:
        return means
    noise = board.noise + 1e-9 * np.eye(count)
    change = np.diff(np.eye(count), axis=0)
    jumps, error, own = change @ means, change @ noise @ change.T, change @ change.T
    gaps = np.maximum(np.diff(np.log(np.maximum(board.steps, 1.0))), 1e-9)
    settings = [(luck, prior, v) for luck, prior in _LUCKS for v in np.geomspace(1e-8, 0.1, 12)]
    luck, prior, variance = np.array(settings).T[:, :, None, None]
    covariance = error + luck**2 * own + variance * np.diag(gaps / gaps.mean())  # settings x changes x changes
    explained = np.linalg.solve(covariance, jumps[:, None])[:, :, 0]
    weight = np.log(prior[:, 0, 0]) - 0.5 * (np.linalg.slogdet(covariance)[1] + explained @ jumps)
    likelihood = np.exp(weight - weight.max())
    return np.asarray(means - noise @ change.T @ (likelihood @ explained / likelihood.sum()))


def undominated(
    nll: Float[np.ndarray, " checkpoints"], accuracy: Float[np.ndarray, " checkpoints"]
) -> Bool[np.ndarray, " checkpoints"]:
    """Whether no other checkpoint is as good in both nll and accuracy and better in one of them.

    >>> undominated(np.array([0.4, 0.5, 0.5]), np.array([0.7, 0.8, 0.7])).tolist()
    [True, True, False]
    """
    as_good = (nll[None] <= nll[:, None]) & (accuracy[None] >= accuracy[:, None])
    better = (nll[None] < nll[:, None]) | (accuracy[None] > accuracy[:, None])
    return np.asarray(~(as_good & better).any(1))
