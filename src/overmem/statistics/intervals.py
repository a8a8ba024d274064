"""Means, ratios and shares with standard errors and 95% intervals, each with n.

Examples are independent; the tokens and completions of an example are a cluster. A ratio of sums is linearised (delta
method), so one formula serves means, token averages and differences.
"""

from collections.abc import Callable
from dataclasses import replace
from math import exp, inf, sqrt

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri, stdtrit

from overmem.records import Estimate

Z = float(ndtri(0.975))
"""Half-width of a 95% normal interval, in standard errors."""


def quantile(level: float, n: int) -> float:
    """The quantile of Student's t distribution with n - 1 degrees of freedom."""
    return float(stdtrit(max(n - 1, 1), level))


def stderr_of(estimate: Estimate) -> float | None:
    """The standard error of an estimate, or that which its interval implies; None where neither is known."""
    if estimate.stderr is not None or estimate.low is None or estimate.high is None:
        return estimate.stderr
    return (estimate.high - estimate.low) / (2 * Z)


def student(value: float, stderr: float, n: int, note: str = "") -> Estimate:
    """A value with Student's 95% interval, with n - 1 degrees of freedom."""
    half = quantile(0.975, n) * stderr
    return Estimate(value, value - half, value + half, n, note, stderr)


def ratio(
    numerator: Float[np.ndarray, " examples"], denominator: Float[np.ndarray, " examples"], note: str = ""
) -> Estimate:
    """The sum of numerators over the sum of denominators, one pair per example, with a linearised interval.

    Nats per token are summed nll over tokens. The value is None without examples or if the denominators sum to 0; a
    single example has a value without interval. An example that contributes to neither sum is not counted in n.
    """
    top, bottom = _contributing(numerator, denominator)
    n = len(top)
    if n == 0 or bottom.sum() == 0:
        return Estimate(None, n=n, note=note or "no observations")
    if not (np.isfinite(top).all() and np.isfinite(bottom).all()):
        broken = int((~(np.isfinite(top) & np.isfinite(bottom))).sum())
        return Estimate(None, n=n, note=f"not finite on {broken} of {n} examples")
    value = float(top.sum() / bottom.sum())
    if n == 1:
        return Estimate(value, n=1, note="one example: no interval")
    return student(value, ratio_stderr(top, bottom), n, note)


def ratio_stderr(top: Float[np.ndarray, " examples"], bottom: Float[np.ndarray, " examples"]) -> float:
    """Linearised standard error of sum(top) / sum(bottom); infinite for fewer than two examples."""
    n = len(top)
    if n < 2 or bottom.sum() <= 0:
        return inf
    residual = (top - bottom * (top.sum() / bottom.sum())) / bottom.mean()
    return float(sqrt((residual @ residual) / (n - 1) / n))


def _contributing(
    numerator: Float[np.ndarray, " examples"], denominator: Float[np.ndarray, " examples"]
) -> tuple[Float[np.ndarray, " contributing"], Float[np.ndarray, " contributing"]]:
    """Numerators and denominators of the examples for which they are not both 0."""
    some = (numerator != 0) | (denominator != 0)
    return numerator[some].astype(np.float64), denominator[some].astype(np.float64)


def mean(values: Float[np.ndarray, " examples"], note: str = "") -> Estimate:
    """The mean over examples with Student's interval; None for no examples, no interval for one."""
    return ratio(values, np.ones(len(values)), note)


def fraction(
    numerator: Float[np.ndarray, " examples"], denominator: Float[np.ndarray, " examples"], note: str = ""
) -> Estimate:
    """A ratio of sums in [0, 1], with Wilson's interval at the effective n of its linearised variance.

    n_eff = p(1-p)/variance is the number of coin flips with the same variance. For values of 0 and 1 it is n, and the
    interval is Wilson's; it stays inside [0, 1] and has positive width even if all values are equal. For values in
    between, the sample may lack rare failures, so `unseen_failure` is added to the variance. In simulation this covers.
    """
    numerator, denominator = _contributing(numerator, denominator)
    linearised = ratio(numerator, denominator, note)
    if linearised.value is None:
        return linearised
    n, p = linearised.n, min(1.0, max(0.0, linearised.value))
    if n < 2 or linearised.stderr is None or not 0 < p < 1:
        return replace(_wilson(p, n, note), stderr=linearised.stderr)
    rare = np.maximum(numerator if p < 0.5 else denominator - numerator, 0.0) / denominator.mean()
    variance = linearised.stderr**2 * (n - 1) / n
    n_plain = p * (1 - p) / variance if variance > 0 else float(n)
    n_eff = max(min(float(n), n_plain), p * (1 - p) / (variance + (unseen_failure(rare) / n) ** 2))
    interval = _wilson(p, n_eff, note)
    return replace(linearised, value=p, low=interval.low, high=interval.high)


def unseen_failure(failures: Float[np.ndarray, " examples"]) -> float:
    """The size of a failure that the sample may lack, given the observed sizes; 0 if there are none.

    It is the largest one, scaled down by the root of a third of their sum; if they sum to less than three, the root of
    the largest one.
    """
    total, largest = float(failures.sum()), float(failures.max())
    return largest * sqrt(3 / total) if total >= 3 else max(largest, sqrt(largest))


def fraction_mean(values: Float[np.ndarray, " examples"], note: str = "") -> Estimate:
    """The mean over examples of fractions in [0, 1], with the interval of `fraction`."""
    return fraction(values, np.ones(len(values)), note)


def share(successes: float | int, n: int, note: str = "") -> Estimate:
    """A share of n independent examples with Wilson's 95% interval; None for no examples."""
    return _wilson(successes / n, n, note) if n else Estimate(None, note=note or "no observations")


def _wilson(p: float, n: float | int, note: str) -> Estimate:
    low, high = wilson(p * n, n)
    return Estimate(p, max(0.0, low), min(1.0, high), round(n), note, sqrt(p * (1 - p) / n))


def wilson(successes: float | int, n: float | int) -> tuple[float, float]:
    """Wilson's 95% interval of a share; (0, 1) for no examples."""
    if n <= 0:
        return 0.0, 1.0
    p, zz = successes / n, Z * Z
    center, half = (p + zz / (2 * n)) / (1 + zz / n), Z / (1 + zz / n) * sqrt(p * (1 - p) / n + zz / (4 * n * n))
    return (0.0 if p == 0 else center - half), (1.0 if p == 1 else center + half)


def exponential(estimate: Estimate) -> Estimate:
    """Exp of an estimate (an nll becomes a perplexity); the interval is exp of the interval's ends."""
    if estimate.value is None:
        return estimate
    value = _exp(estimate.value)
    return Estimate(
        value=value,
        low=None if estimate.low is None else _exp(estimate.low),
        high=None if estimate.high is None else _exp(estimate.high),
        n=estimate.n,
        note=estimate.note,
        stderr=None if estimate.stderr is None else value * estimate.stderr,
    )


def _exp(x: float) -> float:
    return exp(min(x, 700.0))


def negated(estimate: Estimate) -> Estimate:
    """Minus the estimate."""
    value, low, high = (None if x is None else -x for x in (estimate.value, estimate.high, estimate.low))
    return replace(estimate, value=value, low=low, high=high)


def bisect(holds: Callable[[float], bool], low: float, high: float, steps: int) -> tuple[float, float]:
    """The interval between `low`, where `holds` is true, and `high`, where it is false, halved `steps` times.

    Args:
        holds: a predicate that changes once between the two.
        low: where it is true.
        high: where it is false.
        steps: number of halvings.
    """
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low, high
