"""Means, ratios and shares with standard errors and 95% intervals, each with n.

The unit that is drawn independently is the example; its tokens and its completions are clustered in it. A ratio of sums
is linearised (delta method), so that one formula serves means, token averages and differences.
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
    """Student's quantile for n examples."""
    return float(stdtrit(max(n - 1, 1), level))


def student(value: float, stderr: float, n: int, note: str = "") -> Estimate:
    """A value with Student's 95% interval on n - 1 degrees of freedom."""
    half = quantile(0.975, n) * stderr
    return Estimate(value, value - half, value + half, n, note, stderr)


def ratio(
    numerator: Float[np.ndarray, " examples"], denominator: Float[np.ndarray, " examples"], note: str = ""
) -> Estimate:
    """Sum of numerators over sum of denominators, one pair per example, with a linearised interval.

    Nats per token are summed nll over tokens. No example, or a denominator of 0, is no value; one example has a value
    and no interval. An example that contributes to neither sum is not counted in n.
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
    """Standard error of sum(top) / sum(bottom), by linearisation; infinite for fewer than two examples."""
    n = len(top)
    if n < 2 or bottom.sum() <= 0:
        return inf
    residual = (top - bottom * (top.sum() / bottom.sum())) / bottom.mean()
    return float(sqrt((residual @ residual) / (n - 1) / n))


def _contributing(
    numerator: Float[np.ndarray, " examples"], denominator: Float[np.ndarray, " examples"]
) -> tuple[Float[np.ndarray, " contributing"], Float[np.ndarray, " contributing"]]:
    """Numerators and denominators of the examples where not both are 0."""
    some = (numerator != 0) | (denominator != 0)
    return numerator[some].astype(np.float64), denominator[some].astype(np.float64)


def mean(values: Float[np.ndarray, " examples"], note: str = "") -> Estimate:
    """The mean over examples with Student's interval; None for no examples, no interval for one."""
    return ratio(values, np.ones(len(values)), note)


def fraction(
    numerator: Float[np.ndarray, " examples"], denominator: Float[np.ndarray, " examples"], note: str = ""
) -> Estimate:
    """A ratio of sums that lies in [0, 1], with Wilson's interval at the effective n of its linearised variance.

    n_eff = p(1-p)/variance is the number of coin flips that would be as uncertain. For single values of 0 and 1 it is
    n, and the interval is Wilson's own; it stays inside [0, 1] and is not empty when every value is the same. Where
    values lie between, rare failures may not have been seen yet: the variance counts the largest one once more, the
    less the more failures' worth were seen, and its root in place of it where that is under three. In simulation that
    is what covers.
    """
    numerator, denominator = _contributing(numerator, denominator)
    plain = ratio(numerator, denominator, note)
    if plain.value is None:
        return plain
    p = min(1.0, max(0.0, plain.value))
    if plain.n < 2 or plain.stderr is None or not 0 < p < 1:
        return replace(_wilson(p, plain.n, note), stderr=plain.stderr)
    rare = np.maximum(numerator if p < 0.5 else denominator - numerator, 0.0) / denominator.mean()
    seen = plain.stderr**2 * (plain.n - 1) / plain.n
    n_seen = p * (1 - p) / seen if seen > 0 else float(plain.n)
    n_eff = max(min(float(plain.n), n_seen), p * (1 - p) / (seen + (unseen(rare) / plain.n) ** 2))
    interval = _wilson(p, n_eff, note)
    return replace(plain, value=p, low=interval.low, high=interval.high)


def unseen(failures: Float[np.ndarray, " examples"]) -> float:
    """The size of a failure that may not have been seen yet, by the sizes of those that were; 0 where none was."""
    worth, largest = float(failures.sum()), float(failures.max())
    return largest * sqrt(3 / worth) if worth >= 3 else max(largest, sqrt(largest))


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
    """The exponential of an estimate (a perplexity, of an nll); its interval is exp of the interval's ends."""
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
    """The same difference the other way round."""
    value, low, high = (None if x is None else -x for x in (estimate.value, estimate.high, estimate.low))
    return replace(estimate, value=value, low=low, high=high)


def bisected(holds: Callable[[float], bool], low: float, high: float, steps: int) -> tuple[float, float]:
    """The stretch between `low`, where `holds` is true, and `high`, where it is not, halved `steps` times."""
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low, high
