"""Confidence against correctness: calibration errors with intervals, from clustered pairs of the two."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import chndtr, erf

from overmem.records import Estimate
from overmem.seeds import generator
from overmem.statistics.combine import difference
from overmem.statistics.intervals import bisected, ratio


@dataclass(frozen=True)
class Judged:
    """Claims with their confidence in [0, 1] and whether they were right, clustered by example."""

    confidence: Float[np.ndarray, " claims"]
    correct: Bool[np.ndarray, " claims"]
    cluster: Int[np.ndarray, " claims"]
    """0, 1, .. of the example that each claim belongs to."""

    @cached_property
    def clusters(self) -> int:
        """Examples."""
        return int(self.cluster.max()) + 1 if len(self.cluster) else 0

    def per_cluster(self, values: Float[np.ndarray, " claims"]) -> Float[np.ndarray, " clusters"]:
        """Sums over each example's claims."""
        return np.bincount(self.cluster, values, self.clusters)

    def mean(self, values: Float[np.ndarray, " claims"]) -> Estimate:
        """The mean over claims, the example being the cluster."""
        return ratio(self.per_cluster(values), self.per_cluster(np.ones(len(values))))


@dataclass(frozen=True)
class Bins:
    """Claims in bins of equal mass; equal confidences share a bin."""

    of_claim: Int[np.ndarray, " claims"]
    weight: Float[np.ndarray, " bins"]
    gap: Float[np.ndarray, " bins"]
    """Mean confidence minus share correct."""
    influence: Float[np.ndarray, "clusters bins"]
    """Of each example on the gaps, by linearisation."""

    @cached_property
    def covariance(self) -> Float[np.ndarray, "bins bins"]:
        """Of the gaps."""
        return np.asarray(self.influence.T @ self.influence)


def bins_of(judged: Judged, count: int = 10) -> Bins:
    """At most `count` bins of equal mass: fewer where there are under 40 claims or under ten examples a bin."""
    count = max(1, min(count, len(judged.confidence) // 40, judged.clusters // 10))
    inner = np.unique(np.quantile(judged.confidence, np.arange(1, count) / count, method="lower"))
    _, of_claim = np.unique(np.searchsorted(inner, judged.confidence, side="left"), return_inverse=True)
    size = np.bincount(of_claim).astype(np.float64)
    distance = judged.confidence - judged.correct
    gap = np.bincount(of_claim, distance) / size
    influence = np.zeros((judged.clusters, len(size)))
    np.add.at(influence, (judged.cluster, of_claim), (distance - gap[of_claim]) / size[of_claim])
    present = np.zeros((judged.clusters, len(size)), dtype=bool)
    present[judged.cluster, of_claim] = True
    inside = present.sum(0)
    influence *= np.sqrt(inside / np.maximum(inside - 1, 1))
    return Bins(of_claim, size / size.sum(), gap, influence)


def calibration_error(judged: Judged, count: int = 10) -> Estimate:
    """Root of the mean squared gap over equal-mass bins, debiased, in [0, 1].

    The mean of gap^2 - var(gap) estimates the square without bias; it is cut at 0 before the root is taken. The mean of
    gap^2 is close to a scaled noncentral chi-square with the truth as its noncentrality; the interval inverts that, its
    lower end with the noise along the gaps that were seen, its upper end with the largest noise of any gaps. Of the 5%
    that it may miss, all lie above an error of 0 and half on either side of a large one, so that it holds a truth of 0
    as often as any other.

    Source: Kumar et al. 2019, https://arxiv.org/abs/1909.10155 (the l2 error and its debiasing).
    Differs from the paper: variances are clustered by example; the interval is our own, its coverage simulated.
    """
    if judged.clusters < 2:
        return Estimate(None, n=judged.clusters, note="fewer than two examples")
    bins = bins_of(judged, count)
    note, plug_in = _plural(len(bins.weight)), float(bins.weight @ bins.gap**2)
    root = np.sqrt(bins.weight)
    spread = root[:, None] * bins.covariance * root
    noise, noise_square = float(spread.trace()), float((spread @ spread).trace())
    value = sqrt(min(1.0, max(0.0, plug_in - noise)))
    if noise == 0:
        return Estimate(value, value, value, judged.clusters, note, 0.0)
    seen = float(root * bins.gap @ spread @ (root * bins.gap)) / max(plug_in, 1e-300)
    narrow, wide = max(noise_square / noise, seen), float(np.linalg.eigvalsh(spread)[-1])
    small = sqrt(noise_square)
    low = sqrt(narrow * _noncentrality(plug_in / narrow, noise / narrow, lambda x: 0.95 + _tail(x * narrow / small)))
    high = sqrt(wide * _noncentrality(plug_in / wide, noise / wide, lambda x: _tail(x * wide / small)))
    return Estimate(value, min(low, value), min(1.0, max(high, value)), judged.clusters, note)


def _tail(size: float) -> float:
    """The chance to miss below: none where the squared error is 0, half of 2.5% where it is as large as its noise."""
    return 0.025 * size / (size + 1)


def _noncentrality(x: float, freedom: float, chance: Callable[[float], float]) -> float:
    """The noncentrality at which a chi-square variable lies below x with the chance for it; 0 if none is as small."""
    highest = x + 10 * sqrt(x) + 20
    return bisected(lambda size: float(chndtr(x, freedom, size)) > chance(size), 0.0, highest, steps=60)[0]


def calibration_difference(judged: Judged, before: Judged, count: int = 10) -> Estimate:
    """Calibration error of these claims minus that of earlier ones on the same examples, by their intervals' arms.

    The two errors move together as far as the examples' influences on them do.
    """
    late, early = calibration_error(judged, count), calibration_error(before, count)
    if late.value is None or early.value is None:
        return Estimate(None, n=judged.clusters, note=late.note or early.note)
    late_influence, early_influence = (
        bins.influence @ (bins.weight * bins.gap) for bins in (bins_of(judged, count), bins_of(before, count))
    )
    size = float(np.linalg.norm(late_influence) * np.linalg.norm(early_influence))
    correlation = max(0.0, float(late_influence @ early_influence) / size) if size > 0 else 0.0
    return replace(difference(late, early, correlation), stderr=None, note=f"{late.note}, before {early.note}")


def _plural(bins: int) -> str:
    return f"{bins} bins" if bins > 1 else "1 bin"


def mean_absolute_gap(judged: Judged, count: int = 10) -> Estimate:
    """The usual ECE, mean |gap| over equal-mass bins, debiased, in [0, 1], with an interval that is only a bound.

    Its lower end is that of |overconfidence|, its upper end that of `calibration_error`: the mean absolute gap lies
    between the absolute mean and the root mean square. No interval of its own covered 95% in simulation.
    """
    whole, root = judged.mean(judged.confidence - judged.correct), calibration_error(judged, count)
    if root.value is None or root.high is None or whole.low is None or whole.high is None:
        return Estimate(None, n=judged.clusters, note=root.note or whole.note)
    bins = bins_of(judged, count)
    value = _debiased(bins.gap, np.sqrt(np.diag(bins.covariance)), bins.weight)
    low, high = max(0.0, whole.low, -whole.high), root.high
    return Estimate(value, min(low, value), max(high, value), judged.clusters, f"{root.note}; a bound")


def _debiased(
    gap: Float[np.ndarray, " bins"], noise: Float[np.ndarray, " bins"], weight: Float[np.ndarray, " bins"]
) -> float:
    """The plug-in less its excess: normal gaps around the observed ones are larger in absolute value, as folded."""
    size, safe = np.abs(gap), np.maximum(noise, 1e-12)
    folded = safe * sqrt(2 / np.pi) * np.exp(-0.5 * (size / safe) ** 2) + size * erf(size / safe / sqrt(2))
    return float(np.clip((2 * size - folded) @ weight, 0.0, 1.0))


def smooth_calibration_error(judged: Judged, *, seed: Sequence[object] = (), resamples: int = 200) -> Estimate:
    """Calibration error without bins, in [0, 1]: the mean absolute value of the smoothed distance to being right.

    The distance confidence - correct is smoothed over confidence by a Gaussian reflected at 0 and 1, of the one width
    that equals the error it gives. The interval is a basic bootstrap over examples at that width.

    Source: Blasiok and Nakkiran 2023, https://arxiv.org/abs/2309.12236.
    """
    if judged.clusters < 2:
        return Estimate(None, n=judged.clusters, note="fewer than two examples")
    distance = (judged.confidence - judged.correct) / len(judged.confidence)
    cell = np.minimum((judged.confidence * _CELLS).astype(np.int64), _CELLS - 1)
    mass = np.bincount(cell, distance, _CELLS)
    _, wide = bisected(lambda width: bool(_smoothed(mass, width) > width), 1e-3, 1.0, steps=20)
    value = min(1.0, float(_smoothed(mass, wide)))
    rows = np.zeros((judged.clusters, _CELLS))
    np.add.at(rows, (judged.cluster, cell), distance)
    even = np.full(judged.clusters, 1 / judged.clusters)
    counts = generator("smooth calibration error", *seed).multinomial(judged.clusters, even, resamples)
    again = _smoothed(counts @ rows, wide)
    above, below = np.quantile(again, [0.975, 0.025])
    low, high = max(0.0, 2 * value - float(above)), min(1.0, 2 * value - float(below))
    note = f"smoothed over {wide:.3f}"
    return Estimate(value, min(low, value), max(high, value), judged.clusters, note, float(again.std()))


_CELLS = 500


def _smoothed(mass: Float[np.ndarray, "*draws cells"], width: float) -> Float[np.ndarray, "*draws"]:
    """Sum of |mass smoothed by a reflected Gaussian|: by the cosine transform, in which reflection is exact."""
    from scipy.fft import dct, idct

    frequency = np.pi * np.arange(_CELLS)
    damped = dct(mass, axis=-1) * np.exp(-0.5 * (frequency * width) ** 2)
    return np.asarray(np.abs(idct(damped, axis=-1)).sum(-1))
