"""How much of what was learned is memory of the training rows: the fall of train nll that val nll does not share."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import stdtr

from overmem.verdict.clusters import Groups, clusters, log_ratio_and_covariance

MEMORY = 0.5
"""Rows are called memorized where more than this of the training rows' nll is gone beyond what val's lost."""
TRACE = 0.005
"""Nats per token below which a training nll is as good as 0."""


@dataclass(frozen=True)
class MemoryTests:
    """One row per checkpoint that was scored on val and train; NaN where it was not."""

    memory: Float[np.ndarray, " checkpoints"]
    """1 - (train nll / val nll) / (the same of the base model). 0: what was learned carries over; 1: known by heart."""
    low: Float[np.ndarray, " checkpoints"]
    high: Float[np.ndarray, " checkpoints"]
    """95% interval."""
    p_memorized: Float[np.ndarray, " checkpoints"]
    """One-sided p of a memory of MEMORY or less."""
    p_not: Float[np.ndarray, " checkpoints"]
    """One-sided p of a memory of MEMORY or more."""
    based: bool
    """The base model was measured; else train and val are taken to have been alike."""


def memory_tests(
    train_sums: Float[np.ndarray, "checkpoints train"],
    train_tokens: Float[np.ndarray, " train"],
    val_sums: Float[np.ndarray, "checkpoints val"],
    val_tokens: Float[np.ndarray, " val"],
    *,
    base: bool,
    train_groups: Groups = None,
    val_groups: Groups = None,
    luck: float = 0.0,
) -> MemoryTests:
    """Memory of every checkpoint, with its interval by linearised log ratios.

    Args:
        train_sums: summed nll of each training row; the first row is the base model where `base`.
        train_tokens: their solution tokens.
        val_sums: the same of val, at the same checkpoints.
        val_tokens: theirs.
        base: the first row is the base model.
        train_groups: question of each training row.
        val_groups: question of each val row.
        luck: standard deviation of the luck of a log nll; that of train and val is taken to be half shared.
    """
    parts = []
    for sums, tokens, groups in ((train_sums, train_tokens, train_groups), (val_sums, val_tokens, val_groups)):
        levels, covariance = log_ratio_and_covariance(sums, tokens, groups, floor=TRACE)
        own = np.diag(covariance)
        if base:
            variance = own + own[0] - 2 * covariance[0]
            parts.append((levels[1:] - levels[0], variance[1:]))
        else:
            parts.append((levels, own))
    ratio = parts[0][0] - parts[1][0]
    error = np.sqrt(np.maximum(parts[0][1] + parts[1][1], 0.0) + luck**2 + 1e-12)
    freedom = min(clusters(len(train_tokens), train_groups), clusters(len(val_tokens), val_groups)) - 1
    limit = np.log(1 - MEMORY)
    p = stdtr(max(freedom, 1), (ratio - limit) / error)
    return MemoryTests(
        1 - np.exp(ratio), 1 - np.exp(ratio + 1.96 * error), 1 - np.exp(ratio - 1.96 * error), p, 1 - p, base
    )
