"""Which neighbouring checkpoints are pooled into one accuracy: a window around each, or the whole risen stretch."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import chdtrc

from overmem.verdict.windows import around, unit

HOMOGENEOUS = 0.05
"""Neighbours are pooled unless Cochran's Q is less probable than this."""
DECLINE = 1.0
"""Standard errors of decline from which a stretch is not judged as one: pooled with its start, its end would look
better than it is."""
SHORTEST = 3
"""Blocks of the shortest stretch that is judged as one."""


def windows(
    means: Float[np.ndarray, " checkpoints"], total: Float[np.ndarray, "checkpoints checkpoints"], most: int = 3
) -> Float[np.ndarray, "checkpoints checkpoints"]:
    """Weights of the window around each checkpoint: three blocks, or up to `most`, where they agree; else one block."""
    weights = around(len(means), 1)
    for blocks in range(3, most + 1, 2):
        wide = around(len(means), blocks)
        weights = np.where(_agree(means, total, wide)[:, None], wide, weights)
    return weights


def is_one_stretch(
    means: Float[np.ndarray, " checkpoints"],
    total: Float[np.ndarray, "checkpoints checkpoints"],
    risen: Bool[np.ndarray, " checkpoints"],
) -> bool:
    """Whether the risen checkpoints have one accuracy: they agree by Cochran's Q, and show no decline."""
    members = np.flatnonzero(risen)
    count = len(members)
    if count < SHORTEST * unit(len(means)):
        return False
    own = total[np.ix_(members, members)]
    place = np.arange(count) - (count - 1) / 2
    decline = -(place @ means[members]) / np.sqrt(place @ own @ place)
    return bool(decline < DECLINE and _p_of_agreement(means[members][None], own[None])[0] >= HOMOGENEOUS)


def pooled_over(
    weights: Float[np.ndarray, "checkpoints checkpoints"], members: Bool[np.ndarray, " checkpoints"]
) -> Float[np.ndarray, "checkpoints checkpoints"]:
    """The same weights, but for the members: theirs are those of their mean."""
    return np.where(members[:, None], members / max(int(members.sum()), 1), weights)


def _agree(
    means: Float[np.ndarray, " checkpoints"], total: np.ndarray, rows: np.ndarray
) -> Bool[np.ndarray, " checkpoints"]:
    """Whether Cochran's Q lets the checkpoints of each row, of one width, be pooled."""
    width = int(np.count_nonzero(rows[0]))
    if width < 2:
        return np.ones(len(rows), dtype=bool)
    place = np.argmax(rows > 0, axis=1)[:, None] + np.arange(width)
    return _p_of_agreement(means[place], total[place[:, :, None], place[:, None]]) >= HOMOGENEOUS


def _p_of_agreement(
    means: Float[np.ndarray, "rows width"], covariance: Float[np.ndarray, "rows width width"]
) -> Float[np.ndarray, " rows"]:
    """P value of Cochran's Q in each row: that of one accuracy behind all of them."""
    width = means.shape[1]
    change = np.diff(np.eye(width), axis=0)
    seen = means @ change.T  # rows, differences
    errors = change @ covariance @ change.T  # rows, differences, differences
    q = (seen * np.linalg.solve(errors, seen[..., None])[..., 0]).sum(1)
    return np.asarray(chdtrc(width - 1, q))
