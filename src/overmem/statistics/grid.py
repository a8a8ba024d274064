"""The number of examples that shares give away by lying on a grid."""

import numpy as np
from jaxtyping import Float

CHANCE = 0.05
"""Chance, over all smaller numbers together, that unrelated values lie on a grid by luck; beyond it nothing is said."""
_FLOAT32 = 6e-8
"""Relative error of a mean that was taken in single precision."""


def smallest_denominator(shares: Float[np.ndarray, " values"], decimals: int, *, most: int = 100_000) -> int | None:
    """The smallest n for which every share is k/n to the given decimals; None where the digits do not tell.

    Shares of 0 and 1 lie on every grid and say nothing. The more distinct values and digits, the larger the n that can
    be told from luck: one value of four digits tells n up to about 30, ten values tell thousands.

    Args:
        shares: fractions between 0 and 1, rounded to `decimals`.
        decimals: digits after the point.
        most: the largest n that is tried.

    >>> smallest_denominator(np.array([0.2857, 0.5714, 0.7143]), 4)
    7
    """
    distinct = np.unique(shares[(shares > 1e-9) & (shares < 1 - 1e-7)])
    if not len(distinct):
        return None
    halves = [0.5001 * 10.0**-decimals + 1e-12]
    if decimals >= 7:
        halves.append(max(halves[0], _FLOAT32))
    for half in halves:
        n = _smallest(distinct, half, most)
        if n is not None:
            return n
    return None


def _smallest(distinct: Float[np.ndarray, " values"], half: float, most: int) -> int | None:
    size = 4096
    by_luck = 0.0
    for start in range(2, most + 1, size):
        n = np.arange(start, min(start + size, most + 1), dtype=np.float64)
        scaled = distinct[:, None] * n
        fits = np.all(np.abs(scaled - np.round(scaled)) <= half * n + 1e-9, axis=0)
        luck = by_luck + np.cumsum(np.minimum(2 * half * n, 1.0) ** len(distinct))
        first = int(fits.argmax())
        if fits[first]:
            return int(n[first]) if luck[first] <= CHANCE else None
        by_luck = float(luck[-1])
        if by_luck > CHANCE:
            return None
    return None
