"""Paired tests, multiple testing, and how many examples a decision needs."""

from collections.abc import Sequence
from math import ceil, inf, sqrt

import numpy as np
from jaxtyping import Bool
from scipy.special import ndtr, ndtri, stdtr

from overmem.records import Estimate


def tail(value: float, threshold: float, stderr: float, n: int) -> float:
    """One-sided p of `true value <= threshold`, by Student's t; 1 if the value or stderr is not finite.

    Args:
        value: the estimate.
        threshold: the limit under the null hypothesis.
        stderr: standard error of the value.
        n: number of examples.
    """
    if not np.isfinite(value) or not np.isfinite(stderr):
        return 1.0
    if stderr == 0:
        return 0.0 if value > threshold else 1.0
    return float(stdtr(max(n - 1, 1), -(value - threshold) / stderr))


def noninferior(difference: float, stderr: float, margin: float, n: int, *, step: float = 1.0) -> float:
    """One-sided p of `true difference <= -margin` for a paired difference of shares.

    The variance is at least what the null hypothesis implies: a true difference of -margin needs at least that share of
    discordant pairs. So perfect agreement on 50 examples does not prove a margin of 0.03. Without discordant pairs this
    is Tango's score test.

    Args:
        difference: share of one minus share of the other.
        stderr: its standard error.
        margin: the margin, positive.
        n: number of examples.
        step: the smallest difference that one example can make: 1 for right or wrong answers, 1/k for means over k
            draws.

    Source: Tango 1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B.
    """
    return tail(difference, -margin, max(stderr, least_stderr(margin, n, step)), n)


def least_stderr(margin: float, n: int, step: float = 1.0) -> float:
    """The smallest standard error that a true difference of -margin implies, see `noninferior`."""
    return sqrt(max(margin * step - margin * margin, 0.0) / n) if n > 0 else inf


def mcnemar(left: Bool[np.ndarray, " examples"], right: Bool[np.ndarray, " examples"]) -> float:
    """Exact two-sided p that two checkpoints are right equally often; 1 if they never differ."""
    from scipy.stats import binomtest

    left_only, right_only = int((left & ~right).sum()), int((~left & right).sum())
    discordant = left_only + right_only
    return float(binomtest(left_only, discordant, 0.5).pvalue) if discordant else 1.0


def p_of_interval(difference: Estimate) -> float:
    """Two-sided p of no difference, from the interval's arm towards 0: below 0.05 exactly if 0 is outside."""
    if difference.value is None or difference.low is None or difference.high is None:
        return 1.0
    arm = difference.value - difference.low if difference.value > 0 else difference.high - difference.value
    if arm <= 0:
        return 1.0 if difference.value == 0 else 0.0
    return float(2 * ndtr(ndtri(0.025) * abs(difference.value) / arm))


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Holm-adjusted p values in the same order; None stays None and does not count."""
    ascending = sorted((value, i) for i, value in enumerate(p) if value is not None)
    adjusted: list[float | None] = [None] * len(p)
    running = 0.0
    for rank, (value, i) in enumerate(ascending):
        running = max(running, min(1.0, (len(ascending) - rank) * value))
        adjusted[i] = running
    return adjusted


def detectable(deviation: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference that a one-sided paired test on n examples detects with this power.

    Args:
        deviation: standard deviation of the paired difference of one example (for right or wrong answers the root of
            the share of discordant pairs).
        n: number of examples; for 0 the result is infinite.
        alpha: error rate of the test.
        power: probability of detecting it.
    """
    return float(ndtri(1 - alpha) + ndtri(power)) * deviation / sqrt(n) if n > 0 else inf


def examples_needed(deviation: float, distance: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """The number of examples that decides a one-sided paired test if the true value is `distance` from the threshold.

    Args:
        deviation: standard deviation of the paired difference of one example.
        distance: distance of the true value from the threshold; for 0 no number decides, and the result is None.
        alpha: error rate of the test.
        power: probability of deciding.
    """
    if distance <= 0 or not np.isfinite(deviation):
        return None
    return ceil((float(ndtri(1 - alpha) + ndtri(power)) * deviation / distance) ** 2)
