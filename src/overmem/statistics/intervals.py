"""95% intervals of means, ratios and shares, each with n."""

from math import inf, sqrt

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtri, stdtrit

from overmem.records import Estimate

Z = float(ndtri(0.975))
"""Half-width of a 95% normal interval, in standard errors."""


def mean(values: Float[np.ndarray, " examples"]) -> Estimate:
    """The mean with Student's 95% interval; None for no examples, no interval for one."""
    n = len(values)
    if n == 0:
        return Estimate(None, note="no examples")
    if n == 1:
        return Estimate(float(values[0]), n=1, note="one example: no interval")
    return student(float(values.mean()), float(values.std(ddof=1)) / sqrt(n), n)


def ratio(top: Float[np.ndarray, " examples"], bottom: Float[np.ndarray, " examples"]) -> Estimate:
    """sum(top) / sum(bottom) with a linearised 95% interval (nats per token: summed nll over tokens)."""
    n = len(top)
    if n == 0 or bottom.sum() <= 0:
        return Estimate(None, n=n, note="no examples" if n == 0 else "no tokens")
    value = float(top.sum() / bottom.sum())
    return student(value, ratio_stderr(top, bottom), n) if n > 1 else Estimate(value, n=1, note="one example")


def ratio_stderr(top: Float[np.ndarray, " examples"], bottom: Float[np.ndarray, " examples"]) -> float:
    """Standard error of sum(top) / sum(bottom), by linearisation; infinite for fewer than two examples."""
    n = len(top)
    if n < 2 or bottom.sum() <= 0:
        return inf
    residual = (top - bottom * (top.sum() / bottom.sum())) / bottom.mean()
    return float(sqrt((residual @ residual) / (n - 1) / n))


def student(value: float, stderr: float, n: int) -> Estimate:
    """A value with Student's 95% interval on n - 1 degrees of freedom."""
    half = quantile(0.975, n) * stderr
    return Estimate(value, value - half, value + half, n)


def negated(estimate: Estimate) -> Estimate:
    """The same difference the other way round."""
    value, low, high = (None if x is None else -x for x in (estimate.value, estimate.high, estimate.low))
    return Estimate(value, low, high, estimate.n, estimate.note)


def quantile(level: float, n: int) -> float:
    """Student's quantile for n examples."""
    return float(stdtrit(max(n - 1, 1), level))


def share_difference(difference: float, stderr: float, n: int) -> Estimate:
    """A paired difference of shares with its 95% interval, which is not empty where every pair agrees (Tango's)."""
    if n < 1:
        return Estimate(None, note="no examples")
    half = max(Z * stderr, Z * Z / (n + Z * Z) if abs(difference) < 1 else 0.0)
    return Estimate(difference, max(-1.0, difference - half), min(1.0, difference + half), n)


def paired_shares(left: Bool[np.ndarray, " examples"], right: Bool[np.ndarray, " examples"]) -> Estimate:
    """Share of left minus share of right on the same examples, with Newcombe's 95% interval (his method 10).

    Source: Newcombe 1998, https://doi.org/10.1002/(SICI)1097-0258(19981130)17:22<2635::AID-SIM954>3.0.CO;2-C.
    """
    n = len(left)
    if n == 0:
        return Estimate(None, note="no examples")
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


def wilson(successes: float | int, n: float | int) -> tuple[float, float]:
    """Wilson's 95% interval of a share; (0, 1) for no examples."""
    if n <= 0:
        return 0.0, 1.0
    p, zz = successes / n, Z * Z
    center, half = (p + zz / (2 * n)) / (1 + zz / n), Z / (1 + zz / n) * sqrt(p * (1 - p) / n + zz / (4 * n * n))
    return (0.0 if p == 0 else center - half), (1.0 if p == 1 else center + half)


def share(successes: float | int, n: int) -> Estimate:
    """A share with Wilson's 95% interval."""
    return Estimate(successes / n, *wilson(successes, n), n) if n else Estimate(None, note="no examples")
