"""Values with standard errors and 95% intervals from clustered observations: what the probes share.

The unit that is drawn independently is the example; its tokens and its draws are clustered in it. A ratio of sums is
linearised (delta method), so that one formula serves means, token averages and differences.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, sqrt

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import stdtrit

from overmem.statistics.intervals import Z, wilson
from overmem.statistics.tests import mcnemar


@dataclass(frozen=True)
class Number:
    """A value with its standard error, 95% interval and n, or no value and the reason."""

    value: float | None
    stderr: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    note: str = ""

    def noted(self, note: str) -> "Number":
        """The same number with one more remark."""
        return replace(self, note="; ".join(part for part in (self.note, note) if part))


def t_interval(value: float, stderr: float, clusters: int) -> Number:
    """Value with Student's interval on clusters - 1 degrees of freedom."""
    half = float(stdtrit(clusters - 1, 0.975)) * stderr
    return Number(value, stderr, value - half, value + half, clusters)


def ratio(
    numerator: Float[np.ndarray, " examples"], denominator: Float[np.ndarray, " examples"], note: str = ""
) -> Number:
    """Sum of numerators over sum of denominators, one pair an example, with a linearised interval.

    No example, or a denominator of 0, is no value; one example has a value and no interval. An example that has no part
    in either sum says nothing: n counts the others.
    """
    top, bottom = _with_part(numerator, denominator)
    n = len(top)
    if n == 0 or bottom.sum() == 0:
        return Number(None, n=n, note=note or "no observations")
    if not (np.isfinite(top).all() and np.isfinite(bottom).all()):
        broken = int((~(np.isfinite(top) & np.isfinite(bottom))).sum())
        return Number(None, n=n, note=f"not finite on {broken} of {n} examples")
    value = float(top.sum() / bottom.sum())
    if n == 1:
        return Number(value, n=1, note="one example: no interval")
    residual = (top - value * bottom) / bottom.mean()
    return replace(t_interval(value, float(sqrt((residual @ residual) / (n - 1) / n)), n), note=note)


def _with_part(
    numerator: Float[np.ndarray, " examples"], denominator: Float[np.ndarray, " examples"]
) -> tuple[Float[np.ndarray, " some"], Float[np.ndarray, " some"]]:
    """Numerators and denominators of the examples where not both are 0."""
    some = (numerator != 0) | (denominator != 0)
    return numerator[some].astype(np.float64), denominator[some].astype(np.float64)


def mean(values: Float[np.ndarray, " examples"], note: str = "") -> Number:
    """The mean over examples with Student's interval."""
    return ratio(values, np.ones(len(values)), note)


def fraction(
    numerator: Float[np.ndarray, " examples"], denominator: Float[np.ndarray, " examples"], note: str = ""
) -> Number:
    """A ratio of sums that lies in [0, 1], with Wilson's interval at the effective n of its linearised variance.

    n_eff = p(1-p)/variance is the number of coin flips that would be as uncertain. For single values of 0 and 1 it is
    n, and the interval is Wilson's own; it stays inside [0, 1] and is not empty when every value is the same. Where
    values lie between, rare failures may not have been seen yet: the variance counts the largest one once more, the
    less the more failures' worth were seen, and its root in place of it where that is under three. In simulation that
    is what covers.
    """
    numerator, denominator = _with_part(numerator, denominator)
    found = ratio(numerator, denominator, note)
    if found.value is None:
        return found
    p = min(1.0, max(0.0, found.value))
    if found.n < 2 or found.stderr is None or not 0 < p < 1:
        return replace(_wilson(p, found.n, note), stderr=found.stderr)
    rare = np.maximum(numerator if p < 0.5 else denominator - numerator, 0.0) / denominator.mean()
    worth, largest = float(rare.sum()), float(rare.max())
    unseen = largest * sqrt(3 / worth) if worth >= 3 else max(largest, sqrt(largest))
    seen = found.stderr**2 * (found.n - 1) / found.n
    n_seen = p * (1 - p) / seen if seen > 0 else float(found.n)
    n_eff = max(min(float(found.n), n_seen), p * (1 - p) / (seen + (unseen / found.n) ** 2))
    interval = _wilson(p, n_eff, note)
    return replace(found, value=p, low=interval.low, high=interval.high)


def fraction_mean(values: Float[np.ndarray, " examples"], note: str = "") -> Number:
    """The mean over examples of fractions in [0, 1], with the interval of `fraction`."""
    return fraction(values, np.ones(len(values)), note)


def mean_difference(values: Float[np.ndarray, " examples"], note: str = "") -> Number:
    """The mean over examples of paired differences in [-1, 1], with Student's interval, never empty.

    As in `fraction`, the variance counts what may not have been seen yet; where no two values differ from 0 the
    interval is as wide as Tango's for pairs that all agree.
    """
    found = mean(values, note)
    if found.value is None or found.stderr is None:
        return found
    worth, largest = float(np.abs(values).sum()), float(np.abs(values).max())
    unseen = largest * sqrt(3 / worth) if worth >= 3 else max(largest, sqrt(largest)) if worth > 0 else Z
    wider = t_interval(found.value, sqrt(found.stderr**2 + (unseen / found.n) ** 2), found.n)
    return replace(found, low=max(-1.0, wider.low or 0.0), high=min(1.0, wider.high or 0.0))


def mean_of_independent(numbers: Sequence[Number], note: str) -> Number:
    """The unweighted mean of independent numbers; its arms are their own arms, added in quadrature."""
    known = [(x.value, x.low, x.high, x.n) for x in numbers]
    k = len(known)
    value = sum(v or 0.0 for v, _, _, _ in known) / k
    if any(low is None or high is None for _, low, high, _ in known):
        return Number(value, n=sum(n for *_, n in known), note=f"{note}, one of them without an interval")
    below = sqrt(sum(((v or 0.0) - (low or 0.0)) ** 2 for v, low, _, _ in known)) / k
    above = sqrt(sum(((high or 0.0) - (v or 0.0)) ** 2 for v, _, high, _ in known)) / k
    return Number(value, (below + above) / (2 * Z), value - below, value + above, sum(n for *_, n in known), note)


def proportion(successes: int, n: int, note: str = "") -> Number:
    """A share of n independent examples with Wilson's interval."""
    if n == 0:
        return Number(None, note=note or "no observations")
    return _wilson(successes / n, n, note)


def _wilson(p: float, n: float | int, note: str) -> Number:
    low, high = wilson(p * n, n)
    return Number(p, sqrt(p * (1 - p) / n), max(0.0, low), min(1.0, high), round(n), note)


def exponential(number: Number) -> Number:
    """The exponential of a number; its interval is exp of the interval's ends."""
    if number.value is None:
        return number
    value = _exp(number.value)
    return Number(
        value,
        None if number.stderr is None else value * number.stderr,
        None if number.low is None else _exp(number.low),
        None if number.high is None else _exp(number.high),
        number.n,
        number.note,
    )


def _exp(x: float) -> float:
    return exp(min(x, 700.0))


def difference(left: Number, right: Number, correlation: float = 0.0) -> Number:
    """The difference left - right of two numbers, by their intervals' arms (Newcombe's hybrid), independent or not.

    Source: Zou and Donner 2008, https://doi.org/10.1002/sim.3095 (with a correlation).
    """
    if left.value is None or right.value is None:
        return Number(None, note=left.note or right.note)
    value = left.value - right.value
    if left.low is None or left.high is None or right.low is None or right.high is None:
        return Number(value, n=left.n, note="no interval")
    low = value - _together(left.value - left.low, right.high - right.value, correlation)
    high = value + _together(left.high - left.value, right.value - right.low, correlation)
    stderr = _together(left.stderr or 0.0, right.stderr or 0.0, correlation)
    return Number(value, stderr, low, high, left.n, left.note or right.note)


def _together(one: float, other: float, correlation: float) -> float:
    return sqrt(max(0.0, one**2 + other**2 - 2 * correlation * one * other))


def ratio_difference(
    numerator: Float[np.ndarray, " examples"],
    denominator: Float[np.ndarray, " examples"],
    other_numerator: Float[np.ndarray, " examples"],
    other_denominator: Float[np.ndarray, " examples"],
    note: str = "",
) -> Number:
    """One ratio of sums minus another over the same examples (paired), with a linearised interval."""
    left, right = ratio(numerator, denominator), ratio(other_numerator, other_denominator)
    if left.value is None or right.value is None:
        return Number(None, n=left.n, note=left.note or right.note)
    value, n = left.value - right.value, left.n
    if n == 1:
        return Number(value, n=1, note="one example: no interval")
    residual = (numerator - left.value * denominator) / denominator.mean()
    residual = residual - (other_numerator - right.value * other_denominator) / other_denominator.mean()
    found = t_interval(value, float(sqrt((residual @ residual) / (n - 1) / n)), n)
    return replace(found, note=note)


def paired_drop(before: Bool[np.ndarray, " examples"], after: Bool[np.ndarray, " examples"], note: str = "") -> Number:
    """Share right before minus share right after on the same examples, with Tango's score interval.

    It holds 0 exactly where McNemar's score test does not reject, and is not empty where no answer changed. In
    simulation it covers closer to 95% than Newcombe's where few answers change.

    Source: Tango 1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B.
    """
    n = len(before)
    if n == 0:
        return Number(None, note=note or "no pairs")
    lost, won = int((before & ~after).sum()), int((~before & after).sum())
    value = (lost - won) / n
    low = _score_root(lost, won, n, -1.0, value, Z)
    high = _score_root(lost, won, n, value, 1.0, -Z)
    return Number(value, sqrt(((lost + won) / n - value**2) / max(1, n - 1)), low, high, n, note)


def _score_root(lost: int, won: int, n: int, low: float, high: float, target: float) -> float:
    """The difference in [low, high] at which Tango's score, which falls with it, is `target`."""
    for _ in range(50):
        middle = (low + high) / 2
        linear = (2 * n - lost + won) * middle - lost - won
        root = sqrt(max(0.0, linear**2 + 8 * n * won * middle * (1 - middle)))
        variance = n * ((root - linear) / (2 * n) + middle * (1 - middle))
        score = (lost - won - n * middle) / sqrt(max(variance, 1e-12))
        low, high = (middle, high) if score > target else (low, middle)
    return (low + high) / 2


def exact_mcnemar(before: Bool[np.ndarray, " examples"], after: Bool[np.ndarray, " examples"]) -> Number:
    """Two-sided exact p of McNemar's test that as many answers were lost as won; 1 where none changed."""
    lost, won = int((before & ~after).sum()), int((~before & after).sum())
    if len(before) == 0:
        return Number(None, note="no pairs")
    return Number(mcnemar(before, after), n=len(before), note=f"{lost} lost, {won} won")
