"""Inferring the number of examples from the rounded shares k/n that a log contains."""

import numpy as np
from jaxtyping import Float

CHANCE = 0.05
"""Largest accepted probability that unrelated values match some grid k/n, over all n up to the inferred one."""
_FLOAT32 = 6e-8
"""Relative error of a mean computed in single precision."""


def smallest_denominator(shares: Float[np.ndarray, " values"], decimals: int, *, most: int = 100_000) -> int | None:
    """The smallest n for which every share rounds to k/n; None if the digits do not determine it.

    Shares of 0 and 1 match every n and are ignored. More distinct values and more digits determine a larger n: one
    value with four digits up to about 30, ten values thousands.

    Args:
        shares: fractions between 0 and 1, rounded to `decimals`.
        decimals: digits after the point.
        most: the largest n to try.

    >>> smallest_denominator(np.array([0.2857, 0.5714, 0.7143]), 4)
    7
    """
    distinct = np.unique(shares[(shares > 1e-9) & (shares < 1 - 1e-7)])
    if not len(distinct):
        return None
    tolerances = [0.5001 * 10.0**-decimals + 1e-12]
    if decimals >= 7:
        tolerances.append(max(tolerances[0], _FLOAT32))
    for tolerance in tolerances:
        n = _smallest(distinct, tolerance, most)
        if n is not None:
            return n
    return None


def _smallest(distinct: Float[np.ndarray, " values"], tolerance: float, most: int) -> int | None:
    size = 4096
    chance_so_far = 0.0
    for start in range(2, most + 1, size):
        n = np.arange(start, min(start + size, most + 1), dtype=np.float64)
        scaled = distinct[:, None] * n  # [values] -> [values n]
        matches = np.all(np.abs(scaled - np.round(scaled)) <= tolerance * n + 1e-9, axis=0)
        chance = chance_so_far + np.cumsum(np.minimum(2 * tolerance * n, 1.0) ** len(distinct))
        first = int(matches.argmax())
        if matches[first]:
            return int(n[first]) if chance[first] <= CHANCE else None
        chance_so_far = float(chance[-1])
        if chance_so_far > CHANCE:
            return None
    return None
