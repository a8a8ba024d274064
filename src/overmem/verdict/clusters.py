"""Means, log ratios and their covariances over checkpoints, with every question as one cluster."""

import numpy as np
from jaxtyping import Float, Int

Groups = Int[np.ndarray, " examples"] | None


def cluster_sums(values: Float[np.ndarray, "checkpoints examples"], groups: Groups) -> Float[np.ndarray, "c clusters"]:
    """Sums over the examples of each cluster; the values themselves where every example is its own."""
    if groups is None:
        return values
    _, index = np.unique(groups, return_inverse=True)
    order = np.argsort(index, kind="stable")
    starts = np.searchsorted(index[order], np.arange(int(index.max(initial=-1)) + 1))
    return np.asarray(np.add.reduceat(values[:, order], starts, axis=1))


def clusters(n: int, groups: Groups) -> int:
    """How many independent clusters there are."""
    return n if groups is None else len(np.unique(groups))


def mean_and_covariance(
    values: Float[np.ndarray, "checkpoints examples"], groups: Groups = None
) -> tuple[Float[np.ndarray, " checkpoints"], Float[np.ndarray, "checkpoints checkpoints"]]:
    """Mean of each checkpoint over examples, and the covariance of the errors of these means."""
    means = values.mean(1)
    residual = cluster_sums(values - means[:, None], groups)
    count = residual.shape[1]
    return means, residual @ residual.T * (count / max(count - 1, 1)) / values.shape[1] ** 2


def log_ratio_and_covariance(
    sums: Float[np.ndarray, "checkpoints examples"],
    tokens: Float[np.ndarray, " examples"],
    groups: Groups = None,
    floor: float = 1e-6,
) -> tuple[Float[np.ndarray, " checkpoints"], Float[np.ndarray, "checkpoints checkpoints"]]:
    """Log of the nats per token of each checkpoint, and the covariance of its errors, by linearisation."""
    ratio = np.maximum(sums.sum(1) / tokens.sum(), floor)
    residual = cluster_sums(sums - ratio[:, None] * tokens, groups) / (ratio * tokens.sum())[:, None]
    count = residual.shape[1]
    return np.log(ratio), residual @ residual.T * (count / max(count - 1, 1))
