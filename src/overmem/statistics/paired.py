"""Differences between two measurements of the same examples, with 95% intervals.

Three intervals for a difference of two paired shares stand side by side, because each covers best where it is used:
`tango` (from the answers, for what a shift or an over-memorized checkpoint loses), `newcombe` (from the answers, for
choices among checkpoints) and `share_difference` (from a difference and its standard error alone).
"""

from dataclasses import replace
from math import sqrt

import numpy as np
from jaxtyping import Bool, Float

from overmem.records import Estimate
from overmem.statistics.intervals import Z, bisected, mean, quantile, ratio, student, unseen, wilson


def mean_difference(values: Float[np.ndarray, " examples"], note: str = "") -> Estimate:
    """The mean over examples of paired differences in [-1, 1], with Student's interval, never empty.

    As in `fraction`, the variance counts what may not have been seen yet; where no value differs from 0 the interval is
    as wide as Tango's for pairs that all agree.
    """
    plain = mean(values, note)
    if plain.value is None or plain.stderr is None:
        return plain
    hidden = unseen(np.abs(values)) if values.any() else Z
    half = quantile(0.975, plain.n) * sqrt(plain.stderr**2 + (hidden / plain.n) ** 2)
    return replace(plain, low=max(-1.0, plain.value - half), high=min(1.0, plain.value + half))


def ratio_difference(
    numerator: Float[np.ndarray, " examples"],
    denominator: Float[np.ndarray, " examples"],
    other_numerator: Float[np.ndarray, " examples"],
    other_denominator: Float[np.ndarray, " examples"],
    note: str = "",
) -> Estimate:
    """One ratio of sums minus another over the same examples, with a linearised interval.

    Args:
        numerator: of the first ratio, one number per example.
        denominator: of the first ratio.
        other_numerator: of the ratio that is subtracted.
        other_denominator: of the ratio that is subtracted.
        note: of the estimate.
    """
    left, right = ratio(numerator, denominator), ratio(other_numerator, other_denominator)
    if left.value is None or right.value is None:
        return Estimate(None, n=left.n, note=left.note or right.note)
    value, n = left.value - right.value, left.n
    if n == 1:
        return Estimate(value, n=1, note="one example: no interval")
    residual = (numerator - left.value * denominator) / denominator.mean()
    residual = residual - (other_numerator - right.value * other_denominator) / other_denominator.mean()
    return student(value, float(sqrt((residual @ residual) / (n - 1) / n)), n, note)


def share_difference(difference: float, stderr: float, n: int) -> Estimate:
    """A paired difference of shares from its standard error, never narrower than Tango's where every pair agrees."""
    if n < 1:
        return Estimate(None, note="no observations")
    half = max(Z * stderr, Z * Z / (n + Z * Z) if abs(difference) < 1 else 0.0)
    return Estimate(difference, max(-1.0, difference - half), min(1.0, difference + half), n, stderr=stderr)


def newcombe(left: Bool[np.ndarray, " examples"], right: Bool[np.ndarray, " examples"]) -> Estimate:
    """Share of left minus share of right on the same examples, with Newcombe's interval (his method 10).

    Source: Newcombe 1998, https://doi.org/10.1002/(SICI)1097-0258(19981130)17:22<2635::AID-SIM954>3.0.CO;2-C.
    """
    n = len(left)
    if n == 0:
        return Estimate(None, note="no observations")
    both, only, other = int((left & right).sum()), int((left & ~right).sum()), int((~left & right).sum())
    neither = n - both - only - other
    p, q = (both + only) / n, (both + other) / n
    (p_low, p_high), (q_low, q_high) = wilson(both + only, n), wilson(both + other, n)
    margins = (both + only) * (other + neither) * (both + other) * (only + neither)
    cross = both * neither - only * other
    corrected = max(cross - n / 2, 0.0) if cross > 0 else cross
    phi = corrected / sqrt(margins) if margins else 0.0
    low = (p - p_low) ** 2 - 2 * phi * (p - p_low) * (q_high - q) + (q_high - q) ** 2
    high = (q - q_low) ** 2 - 2 * phi * (q - q_low) * (p_high - p) + (p_high - p) ** 2
    return Estimate(p - q, p - q - sqrt(max(low, 0.0)), p - q + sqrt(max(high, 0.0)), n)


def tango(before: Bool[np.ndarray, " examples"], after: Bool[np.ndarray, " examples"], note: str = "") -> Estimate:
    """Share right before minus share right after on the same examples, with Tango's score interval.

    It contains 0 exactly where McNemar's score test does not reject, and is not empty where no answer changed. In
    simulation it covers closer to 95% than Newcombe's where few answers change.

    Source: Tango 1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B.
    """
    n = len(before)
    if n == 0:
        return Estimate(None, note=note or "no pairs")
    lost, won = int((before & ~after).sum()), int((~before & after).sum())
    value = (lost - won) / n
    low = _score_root(lost, won, n, -1.0, value, Z)
    high = _score_root(lost, won, n, value, 1.0, -Z)
    return Estimate(value, low, high, n, note, sqrt(((lost + won) / n - value**2) / max(1, n - 1)))


def _score_root(lost: int, won: int, n: int, low: float, high: float, target: float) -> float:
    """The difference in [low, high] at which Tango's score, which falls with it, is `target`."""

    def above(difference: float) -> bool:
        linear = (2 * n - lost + won) * difference - lost - won
        root = sqrt(max(0.0, linear**2 + 8 * n * won * difference * (1 - difference)))
        variance = n * ((root - linear) / (2 * n) + difference * (1 - difference))
        return (lost - won - n * difference) / sqrt(max(variance, 1e-12)) > target

    return sum(bisected(above, low, high, steps=50)) / 2
