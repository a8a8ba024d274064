"""Calibration errors with intervals, from confidences and correctness clustered by example."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isnan, nan, sqrt

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import brentq
from scipy.special import chndtr, erf, ndtr

from overmem.records import Estimate
from overmem.seeds import generator
from overmem.statistics.combine import difference
from overmem.statistics.intervals import bisect, ratio


@dataclass(frozen=True)
class Claims:
    """Confidences in [0, 1] and whether each claim was right, clustered by example."""

    confidence: Float[np.ndarray, " claims"]
    correct: Bool[np.ndarray, " claims"]
    cluster: Int[np.ndarray, " claims"]
    """Index of the example that each claim belongs to."""

    @cached_property
    def clusters(self) -> int:
        """Number of examples."""
        return int(self.cluster.max()) + 1 if len(self.cluster) else 0

    def per_cluster(self, values: Float[np.ndarray, " claims"]) -> Float[np.ndarray, " clusters"]:
        """Sums over the claims of each example."""
        return np.bincount(self.cluster, values, self.clusters)

    def mean(self, values: Float[np.ndarray, " claims"]) -> Estimate:
        """The mean over claims, clustered by example."""
        return ratio(self.per_cluster(values), self.per_cluster(np.ones(len(values))))


@dataclass(frozen=True)
class Bins:
    """Claims in bins of equal mass; equal confidences share a bin."""

    of_claim: Int[np.ndarray, " claims"]
    weight: Float[np.ndarray, " bins"]
    gap: Float[np.ndarray, " bins"]
    """Mean confidence minus share correct."""
    influence: Float[np.ndarray, "clusters bins"]
    """Linearised influence of each example on the gaps."""

    @cached_property
    def covariance(self) -> Float[np.ndarray, "bins bins"]:
        """Covariance of the gaps."""
        return np.asarray(self.influence.T @ self.influence)


def bins_of(claims: Claims, count: int = 10) -> Bins:
    """At most `count` bins of equal mass; fewer if a bin would have under 40 claims or under ten examples."""
    count = max(1, min(count, len(claims.confidence) // 40, claims.clusters // 10))
    inner = np.unique(np.quantile(claims.confidence, np.arange(1, count) / count, method="lower"))
    _, of_claim = np.unique(np.searchsorted(inner, claims.confidence, side="left"), return_inverse=True)
    size = np.bincount(of_claim).astype(np.float64)
    distance = claims.confidence - claims.correct
    gap = np.bincount(of_claim, distance) / size
    influence = np.zeros((claims.clusters, len(size)))
    np.add.at(influence, (claims.cluster, of_claim), (distance - gap[of_claim]) / size[of_claim])
    present = np.zeros((claims.clusters, len(size)), dtype=bool)
    present[claims.cluster, of_claim] = True
    inside = present.sum(0)
    influence *= np.sqrt(inside / np.maximum(inside - 1, 1))
    return Bins(of_claim, size / size.sum(), gap, influence)


def calibration_error(claims: Claims, count: int = 10) -> Estimate:
    """Root mean squared gap over equal-mass bins, debiased, in [0, 1].

    The mean of gap^2 - var(gap) is an unbiased estimate of the square; it is clipped at 0 before taking the root. The
    mean of gap^2 is approximately a scaled noncentral chi-square variable whose noncentrality is the true value. The
    interval inverts this, its lower end with the noise in the direction of the observed gaps, its upper end with the
    largest noise in any direction. The 5% error is all above the interval for a true error of 0 and half on either side
    for a large one, so the coverage at 0 is the same as elsewhere.

    Source: Kumar et al. 2019, https://arxiv.org/abs/1909.10155 (the l2 error and its debiasing).
    Differs from the paper: variances are clustered by example; the interval is new, its coverage simulated.
    """
    if claims.clusters < 2:
        return Estimate(None, n=claims.clusters, note="fewer than two examples")
    bins = bins_of(claims, count)
    note, plug_in = _plural(len(bins.weight)), float(bins.weight @ bins.gap**2)
    root = np.sqrt(bins.weight)
    spread = root[:, None] * bins.covariance * root
    noise, noise_square = float(spread.trace()), float((spread @ spread).trace())
    value = sqrt(min(1.0, max(0.0, plug_in - noise)))
    if noise == 0:
        return Estimate(value, value, value, claims.clusters, note, 0.0)
    seen = float(root * bins.gap @ spread @ (root * bins.gap)) / max(plug_in, 1e-300)
    narrow, wide = max(noise_square / noise, seen), float(np.linalg.eigvalsh(spread)[-1])
    small = sqrt(noise_square)
    low = sqrt(narrow * _noncentrality(plug_in / narrow, noise / narrow, lambda x: 0.95 + _tail(x * narrow / small)))
    high = sqrt(wide * _noncentrality(plug_in / wide, noise / wide, lambda x: _tail(x * wide / small)))
    return Estimate(value, min(low, value), min(1.0, max(high, value)), claims.clusters, note)


def _tail(size: float) -> float:
    """Error probability below the interval: 0 for a squared error of 0, rising to 2.5% for one far above its noise."""
    return 0.025 * size / (size + 1)


def _noncentrality(x: float, freedom: float, chance: Callable[[float], float]) -> float:
    """The noncentrality at which a chi-square variable is below x with probability `chance`; at least 0.

    Args:
        x: the observed value.
        freedom: degrees of freedom.
        chance: noncentrality -> the probability.
    """
    highest, given = x + 10 * sqrt(x) + 20, (x, freedom, chance)
    if not _excess(0.0, *given) > 0:
        return 0.0
    if _excess(highest, *given) > 0:
        return highest
    precision = 4 * np.finfo(float).eps  # the finest that brentq takes
    return float(brentq(_excess, 0.0, highest, args=given, xtol=1e-300, rtol=precision))


_LARGEST_CHI_SQUARE = 1e8
"""From this value on a noncentral chi-square variable is taken as normal: the bound differs by 2 parts in 10^8."""


def _excess(noncentrality: float, x: float, freedom: float, chance: Callable[[float], float]) -> float:
    """How much the probability of a chi-square variable below x exceeds `chance` at this noncentrality.

    Args:
        noncentrality: of the variable.
        x: the observed value.
        freedom: degrees of freedom.
        chance: noncentrality -> the probability to compare with.
    """
    below = float(chndtr(x, freedom, noncentrality)) if x < _LARGEST_CHI_SQUARE else nan
    if isnan(below):  # beyond what scipy computes, or computes in less than a millisecond
        below = float(ndtr((x - freedom - noncentrality) / sqrt(2 * (freedom + 2 * noncentrality))))
    return below - chance(noncentrality)


def calibration_difference(claims: Claims, before: Claims, count: int = 10) -> Estimate:
    """Calibration error of these claims minus that of earlier ones on the same examples.

    The interval combines the arms of both intervals, with the correlation of the examples' influences on the errors.
    """
    late, early = calibration_error(claims, count), calibration_error(before, count)
    if late.value is None or early.value is None:
        return Estimate(None, n=claims.clusters, note=late.note or early.note)
    late_influence, early_influence = (
        bins.influence @ (bins.weight * bins.gap) for bins in (bins_of(claims, count), bins_of(before, count))
    )
    size = float(np.linalg.norm(late_influence) * np.linalg.norm(early_influence))
    correlation = max(0.0, float(late_influence @ early_influence) / size) if size > 0 else 0.0
    return replace(difference(late, early, correlation), stderr=None, note=f"{late.note}, before {early.note}")


def _plural(bins: int) -> str:
    return f"{bins} bins" if bins > 1 else "1 bin"


def mean_absolute_gap(claims: Claims, count: int = 10, *, root: Estimate | None = None) -> Estimate:
    """The usual ECE, mean |gap| over equal-mass bins, debiased, in [0, 1], with a conservative interval.

    The lower end is that of |overconfidence|, the upper end that of `calibration_error`, because the mean absolute gap
    is between the absolute mean and the root mean square. No direct interval covered 95% in simulation.

    Args:
        claims: the claims.
        count: the largest number of bins.
        root: the `calibration_error` of these claims; computed by default.
    """
    root = root or calibration_error(claims, count)
    overconfidence = claims.mean(claims.confidence - claims.correct)
    if root.value is None or root.high is None or overconfidence.low is None or overconfidence.high is None:
        return Estimate(None, n=claims.clusters, note=root.note or overconfidence.note)
    bins = bins_of(claims, count)
    value = _debiased(bins.gap, np.sqrt(np.diag(bins.covariance)), bins.weight)
    low, high = max(0.0, overconfidence.low, -overconfidence.high), root.high
    return Estimate(value, min(low, value), max(high, value), claims.clusters, f"{root.note}; a bound")


def _debiased(
    gap: Float[np.ndarray, " bins"], noise: Float[np.ndarray, " bins"], weight: Float[np.ndarray, " bins"]
) -> float:
    """The weighted mean |gap| minus its bias: the mean of a folded normal variable exceeds the absolute value."""
    size, safe = np.abs(gap), np.maximum(noise, 1e-12)
    folded = safe * sqrt(2 / np.pi) * np.exp(-0.5 * (size / safe) ** 2) + size * erf(size / safe / sqrt(2))
    return float(np.clip((2 * size - folded) @ weight, 0.0, 1.0))


def smooth_calibration_error(claims: Claims, *, seed: Sequence[object] = (), resamples: int = 200) -> Estimate:
    """Calibration error without bins, in [0, 1]: the mean absolute value of the smoothed residuals.

    The residual confidence - correct is smoothed over confidence by a Gaussian kernel reflected at 0 and 1, whose width
    equals the resulting error. The interval is a basic bootstrap over examples at that width.

    Args:
        claims: the claims.
        seed: seed of the bootstrap.
        resamples: number of resamples.

    Source: Blasiok and Nakkiran 2023, https://arxiv.org/abs/2309.12236.
    """
    if claims.clusters < 2:
        return Estimate(None, n=claims.clusters, note="fewer than two examples")
    distance = (claims.confidence - claims.correct) / len(claims.confidence)
    cell = np.minimum((claims.confidence * _CELLS).astype(np.int64), _CELLS - 1)
    mass = np.bincount(cell, distance, _CELLS)
    _, wide = bisect(lambda width: bool(_smoothed(mass, width) > width), 1e-3, 1.0, steps=20)
    value = min(1.0, float(_smoothed(mass, wide)))
    rows = np.zeros((claims.clusters, _CELLS))
    np.add.at(rows, (claims.cluster, cell), distance)
    even = np.full(claims.clusters, 1 / claims.clusters)
    counts = generator("smooth calibration error", *seed).multinomial(claims.clusters, even, resamples)
    again = _smoothed(counts @ rows, wide)
    above, below = np.quantile(again, [0.975, 0.025])
    low, high = max(0.0, 2 * value - float(above)), min(1.0, 2 * value - float(below))
    note = f"smoothed over {wide:.3f}"
    return Estimate(value, min(low, value), max(high, value), claims.clusters, note, float(again.std()))


_CELLS = 500


def _smoothed(mass: Float[np.ndarray, "*draws cells"], width: float) -> Float[np.ndarray, "*draws"]:
    """Sum of |mass smoothed by a reflected Gaussian|, by the cosine transform, in which the reflection is exact."""
    from scipy.fft import dct, idct

    frequency = np.pi * np.arange(_CELLS)
    damped = dct(mass, axis=-1) * np.exp(-0.5 * (frequency * width) ** 2)
    return np.asarray(np.abs(idct(damped, axis=-1)).sum(-1))
