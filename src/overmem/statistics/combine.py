"""Combining estimates: differences, means of independent ones, and runs that differ in their seed."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import stdtr

from overmem.records import Estimate
from overmem.statistics.intervals import Z, quantile


def difference(left: Estimate, right: Estimate, correlation: float = 0.0) -> Estimate:
    """Left - right, with an interval from the arms of the two intervals (Newcombe's hybrid method).

    Source: Zou and Donner 2008, https://doi.org/10.1002/sim.3095 (with a correlation).
    """
    if left.value is None or right.value is None:
        return Estimate(None, note=left.note or right.note)
    value = left.value - right.value
    if left.low is None or left.high is None or right.low is None or right.high is None:
        return Estimate(value, n=left.n, note="no interval")
    stderr = None
    if left.stderr is not None and right.stderr is not None:
        stderr = _joint_arm(left.stderr, right.stderr, correlation)
    return Estimate(
        value=value,
        low=value - _joint_arm(left.value - left.low, right.high - right.value, correlation),
        high=value + _joint_arm(left.high - left.value, right.value - right.low, correlation),
        n=left.n,
        note=left.note or right.note,
        stderr=stderr,
    )


def _joint_arm(a: float, b: float, correlation: float) -> float:
    return sqrt(max(0.0, a**2 + b**2 - 2 * correlation * a * b))


def mean_of_independent(estimates: Sequence[Estimate], note: str) -> Estimate:
    """The unweighted mean of independent estimates; the arms of their intervals add in quadrature.

    Estimates without a value are skipped; at least one must have one.
    """
    measured = [(e.value, e) for e in estimates if e.value is not None]
    k, n = len(measured), sum(e.n for _, e in measured)
    value = sum(v for v, _ in measured) / k
    arms = [(v - e.low, e.high - v) for v, e in measured if e.low is not None and e.high is not None]
    if len(arms) < k:
        return Estimate(value, n=n, note=f"{note}, one of them without an interval")
    below, above = (sqrt(sum(arm**2 for arm in side)) / k for side in zip(*arms, strict=True))
    return Estimate(value, value - below, value + above, n, note, (below + above) / (2 * Z))


def across_seeds(values: Sequence[float], stderrs: Sequence[float]) -> Estimate:
    """The mean over runs that differ in their seed, with a 95% interval in which the seed is a random effect.

    Random-effects mean with Paule and Mandel's variance between runs and the t interval of Hartung, Knapp, Sidik and
    Jonkman, never narrower than the standard errors of the runs imply, even if they agree by chance (Knapp and
    Hartung's modification). One run has no interval, because it says nothing about other seeds. n counts runs.

    Source: Paule and Mandel 1982, https://doi.org/10.6028/jres.087.022; Hartung and Knapp 2001,
    https://doi.org/10.1002/sim.791.
    """
    if not values:
        return Estimate(None, note="no runs")
    if len(values) == 1:
        return Estimate(float(values[0]), n=1, note="one seed: no interval over seeds")
    effects = np.asarray(values, float)
    within = np.maximum(np.square(np.asarray(stderrs, float)), 1e-12)
    weights = 1 / (within + between_runs(effects, within))
    value = float(weights @ effects / weights.sum())
    variance = 1 / weights.sum()
    scatter = weights @ (effects - value) ** 2 / (len(effects) - 1)
    stderr = sqrt(variance * max(1.0, float(scatter)))
    half = quantile(0.975, len(effects)) * stderr
    return Estimate(value, value - half, value + half, len(effects), stderr=stderr)


def p_across_seeds(difference: Estimate) -> float | None:
    """Two-sided p that a mean over seeds is 0, by the t test of `across_seeds`; None where it has no interval."""
    if difference.value is None or difference.stderr is None or difference.n < 2:
        return None
    return float(2 * stdtr(difference.n - 1, -abs(difference.value) / difference.stderr))


def between_runs(effects: Float[np.ndarray, " runs"], within: Float[np.ndarray, " runs"]) -> float:
    """Paule and Mandel's variance between runs: at it, the weighted scatter equals its degrees of freedom."""

    def surplus(between: float) -> float:
        weights = 1 / (within + between)
        return float(weights @ (effects - weights @ effects / weights.sum()) ** 2) - (len(effects) - 1)

    if surplus(0.0) <= 0:
        return 0.0
    upper = float(np.sum((effects - effects.mean()) ** 2))  # weights are so small here that the surplus is negative
    return float(brentq(surplus, 0.0, upper))
