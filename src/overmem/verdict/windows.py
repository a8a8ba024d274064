"""Stretches of neighbouring checkpoints as rows of weights: what is pooled, and what it is compared with."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float

BLOCKS = 12
"""A run of more checkpoints than this is looked at in about as many blocks: twice as many checkpoints tell more of each
block and do not ask more questions."""


def unit(count: int) -> int:
    """Checkpoints in a block."""
    return max(1, round(count / BLOCKS))


@lru_cache(maxsize=64)
def around(count: int, blocks: int = 3) -> Float[np.ndarray, "checkpoints checkpoints"]:
    """For each checkpoint the mean of the `blocks` blocks around it, shifted inwards at the ends.

    Never more than half of the run: what is pooled must leave something to be compared with.
    """
    width = max(1, min(blocks * unit(count), count // 2))
    weights = np.zeros((count, count))
    for i in range(count):
        first = min(max(i - width // 2, 0), count - width)
        weights[i, first : first + width] = 1 / width
    weights.flags.writeable = False
    return weights


@lru_cache(maxsize=64)
def stretches(count: int) -> tuple[Float[np.ndarray, "stretches checkpoints"], Float[np.ndarray, " stretches"]]:
    """Every stretch of one, two or three blocks, and how many blocks it has."""
    size, rows, blocks = unit(count), [], []
    for many in (1, 2, 3):
        width = many * size
        if width > count:
            break
        for first in range(0, count - width + 1):
            row = np.zeros(count)
            row[first : first + width] = 1 / width
            rows.append(row)
            blocks.append(many)
    weights = np.array(rows)
    weights.flags.writeable = False
    return weights, np.array(blocks, dtype=np.float64)


@lru_cache(maxsize=256)
def local_line(count: int, i: int, first: int, blocks: int = 7) -> Float[np.ndarray, " checkpoints"]:
    """Weights of the straight line through the `blocks` blocks nearest to i, none before `first`, taken at i."""
    first = min(first, i)
    width = min(blocks * unit(count), count - first)
    start = min(max(i - width // 2, first), count - width)
    row = np.zeros(count)
    place = np.arange(start, start + width)
    if width < 3:
        row[i] = 1.0
        return row
    offset = place - place.mean()
    row[place] = 1 / width + offset * (i - place.mean()) / (offset @ offset)
    return row
