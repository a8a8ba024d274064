"""Differences between two measurements of the same examples, with 95% intervals.

There are three intervals for a difference of paired shares, because each covers best in its use: `tango` (from the
answers, for losses under a shift or of an over-memorized checkpoint), `newcombe` (from the answers, for choices among
checkpoints) and `share_difference` (from a difference and its standard error).
"""

from dataclasses import replace
from math import sqrt

import numpy as np
from jaxtyping import Bool, Float

from overmem.records import Estimate
from overmem.statistics.intervals import Z, bisect, mean, quantile, ratio, student, unseen_failure, wilson


def mean_difference(values: Float[np.ndarray, " examples"], note: str = "") -> Estimate:
    """The mean over examples of paired differences in [-1, 1], with Student's interval of positive width.

    As in `fraction`, the variance includes a difference that the sample may lack; if all values are 0, the interval is
    as wide as Tango's for pairs that all agree.
    """
    estimate = mean(values, note)
    if estimate.value is None or estimate.stderr is None:
        return estimate
    unseen = unseen_failure(np.abs(values)) if values.any() else Z
    half = quantile(0.975, estimate.n) * sqrt(estimate.stderr**2 + (unseen / estimate.n) ** 2)
    return replace(estimate, low=max(-1.0, estimate.value - half), high=min(1.0, estimate.value + half))


def ratio_difference(
    numerator: Float[np.ndarray, " examples"],
    denominator: Float[np.ndarray, " examples"],
    other_numerator: Float[np.ndarray, " examples"],
    other_denominator: Float[np.ndarray, " examples"],
    note: str = "",
) -> Estimate:
    """One ratio of sums minus another over the same examples, with a linearised interval.

    Args:
        numerator: numerators of the first ratio.
        denominator: denominators of the first ratio.
        other_numerator: numerators of the ratio that is subtracted.
        other_denominator: denominators of the ratio that is subtracted.
        note: note of the estimate.
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
    """A paired difference of shares from its standard error; never narrower than Tango's for pairs that all agree."""
    if n < 1:
        return Estimate(None, note="no observations")
    half = max(Z * stderr, Z * Z / (n + Z * Z) if abs(difference) < 1 else 0.0)
    return Estimate(difference, max(-1.0, difference - half), min(1.0, difference + half), n, stderr=stderr)


def newcombe(left: Bool[np.ndarray, " examples"], right: Bool[np.ndarray, " examples"]) -> Estimate:
    """Share of left minus share of right on the same examples, with Newcombe's interval (method 10).

    Source: Newcombe 1998, https://doi.org/10.1002/(SICI)1097-0258(19981130)17:22<2635::AID-SIM954>3.0.CO;2-C.
    """
    n = len(left)
    if n == 0:
        return Estimate(None, note="no observations")
    both, left_only, right_only = int((left & right).sum()), int((left & ~right).sum()), int((~left & right).sum())
    neither = n - both - left_only - right_only
    p, q = (both + left_only) / n, (both + right_only) / n
    (p_low, p_high), (q_low, q_high) = wilson(both + left_only, n), wilson(both + right_only, n)
    margins = (both + left_only) * (right_only + neither) * (both + right_only) * (left_only + neither)
    cross = both * neither - left_only * right_only
    corrected = max(cross - n / 2, 0.0) if cross > 0 else cross
    phi = corrected / sqrt(margins) if margins else 0.0
    low = (p - p_low) ** 2 - 2 * phi * (p - p_low) * (q_high - q) + (q_high - q) ** 2
    high = (q - q_low) ** 2 - 2 * phi * (q - q_low) * (p_high - p) + (p_high - p) ** 2
    return Estimate(p - q, p - q - sqrt(max(low, 0.0)), p - q + sqrt(max(high, 0.0)), n)


def tango(before: Bool[np.ndarray, " examples"], after: Bool[np.ndarray, " examples"], note: str = "") -> Estimate:
    """Share right before minus share right after on the same examples, with Tango's score interval.

    It contains 0 exactly if McNemar's score test does not reject, and has positive width if no answer changed. In
    simulation its coverage is closer to 95% than Newcombe's if few answers change.

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
    """The difference in [low, high] at which Tango's score, which decreases with it, is `target`.

    Args:
        lost: pairs right before only.
        won: pairs right after only.
        n: pairs.
        low: lower end of the search.
        high: upper end of the search.
        target: the score.
    """

    def above(difference: float) -> bool:
        linear = (2 * n - lost + won) * difference - lost - won
        root = sqrt(max(0.0, linear**2 + 8 * n * won * difference * (1 - difference)))
        variance = n * ((root - linear) / (2 * n) + difference * (1 - difference))
        return (lost - won - n * difference) / sqrt(max(variance, 1e-12)) > target

    return sum(bisect(above, low, high, steps=50)) / 2
