"""Paired tests, intervals, error control and the bootstrap: what every comparison of two checkpoints rests on.

Values, never sentences. Where scipy or statsmodels has a method it is used; what stands here is paired, clustered or
vectorised in a way that they are not.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, inf, sqrt

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy.special import ndtri, stdtr, stdtrit

from overmem.records import Estimate
from overmem.seeds import generator

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


def tail(value: float, threshold: float, stderr: float, n: int) -> float:
    """One-sided p of `true value <= threshold`, by Student's t; 1 where nothing is known."""
    if not np.isfinite(value) or not np.isfinite(stderr):
        return 1.0
    if stderr == 0:
        return 0.0 if value > threshold else 1.0
    return float(stdtr(max(n - 1, 1), -(value - threshold) / stderr))


def noninferior(difference: float, stderr: float, margin: float, n: int, *, step: float = 1.0) -> float:
    """One-sided p of `true difference <= -margin` for a paired difference of shares.

    The variance is never taken smaller than the null itself implies: a true difference of -margin needs at least that
    share of discordant pairs. So perfect agreement on 50 examples does not prove a margin of 0.03, as Tango's score
    test has it (for no discordant pair the two are the same). `step` is the smallest difference that one example can
    show: 1 for answers that are right or wrong, 1/k for means over k draws.

    Source: Tango 1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B.
    """
    return tail(difference, -margin, max(stderr, least_stderr(margin, n, step)), n)


def least_stderr(margin: float, n: int, step: float = 1.0) -> float:
    """The least standard error that a true difference of -margin implies, see `noninferior`."""
    return sqrt(max(margin * step - margin * margin, 0.0) / n) if n > 0 else inf


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


def mcnemar(left: Bool[np.ndarray, " examples"], right: Bool[np.ndarray, " examples"]) -> float:
    """Exact two-sided p that two checkpoints are right equally often; 1 where they never differ."""
    from scipy.stats import binomtest

    only, other = int((left & ~right).sum()), int((~left & right).sum())
    return float(binomtest(only, only + other, 0.5).pvalue) if only + other else 1.0


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Holm-adjusted p values in the order given; None stays None and does not count."""
    known = [i for i, value in enumerate(p) if value is not None]
    order = sorted(known, key=lambda i: p[i])  # type: ignore[arg-type,return-value]
    adjusted: list[float | None] = [None] * len(p)
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * p[i]))  # type: ignore[operator]
        adjusted[i] = running
    return adjusted


def bootstrap_weights(
    n: int, draws: int, *purpose: object, clusters: Int[np.ndarray, " examples"] | None = None
) -> Float32[np.ndarray, "draws examples"]:
    """How often each resample holds each example. A resampled mean is `weights @ values / weights.sum(1)`.

    With `clusters` whole clusters are drawn (all completions of one question, say). The weights depend on n, draws,
    `purpose` and clusters only, so that two statistics of one resample are paired.
    """
    if clusters is None:
        return _counts(n, draws, purpose)
    _, index = np.unique(clusters, return_inverse=True)
    return _counts(int(index.max(initial=-1)) + 1, draws, (n, *purpose))[:, index]


@lru_cache(maxsize=4)
def _counts(n: int, draws: int, purpose: tuple[object, ...]) -> Float32[np.ndarray, "draws examples"]:
    """Kept for the next statistic on as many examples; not to be written to."""
    rng = generator("bootstrap", n, draws, *purpose)
    picked = rng.integers(0, n, size=(draws, n)) + n * np.arange(draws)[:, None]
    counts = np.bincount(picked.ravel(), minlength=n * draws).reshape(draws, n).astype(np.float32)
    counts.flags.writeable = False
    return counts


def percentiles(
    resampled: Float[np.ndarray, " draws"], value: float | None, n: int, note: str = "", level: float = 0.95
) -> Estimate:
    """A value with the percentile interval of its resamples; draws that are not finite are left out."""
    finite = resampled[np.isfinite(resampled)]
    if value is None or not np.isfinite(value):
        return Estimate(None, n=n, note=note or "no value")
    if len(finite) < 20:
        return Estimate(float(value), n=n, note=note or "too few resamples have a value: no interval")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(value), float(low), float(high), n, note)


def across_seeds(values: Sequence[float], stderrs: Sequence[float]) -> Estimate:
    """The mean over runs that differ in their seed, the seed being a random effect, with a 95% interval.

    Random-effects mean with Paule and Mandel's variance between runs and Hartung, Knapp, Sidik and Jonkman's t
    interval, never narrower than its examples alone allow, as runs that agree by luck would make it (Knapp and
    Hartung's modification); one run has no interval, because it says nothing about another seed. n counts runs.
    """
    if not values:
        return Estimate(None, note="no runs")
    if len(values) == 1:
        return Estimate(float(values[0]), n=1, note="one seed: no interval over seeds")
    from statsmodels.stats.meta_analysis import combine_effects

    variances = np.maximum(np.square(np.asarray(stderrs, float)), 1e-12)
    found = combine_effects(np.asarray(values, float), variances, method_re="iterated", use_t=True)
    value, spread = float(found.mean_effect_re), max(float(found.sd_eff_w_re_hksj), float(found.sd_eff_w_re))
    half = float(stdtrit(len(values) - 1, 0.975)) * spread
    return Estimate(value, value - half, value + half, len(values))


def detectable(deviation: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference that a one-sided paired test on n examples finds with this power.

    `deviation` is the standard deviation of the paired difference of one example (the root of the discordant share,
    for answers that are right or wrong). Infinite for no examples.
    """
    return float(ndtri(1 - alpha) + ndtri(power)) * deviation / sqrt(n) if n > 0 else inf


def examples_needed(deviation: float, distance: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """How many examples decide a one-sided paired test whose truth lies `distance` from the threshold.

    None where the distance is 0: no number of examples decides.
    """
    if distance <= 0 or not np.isfinite(deviation):
        return None
    return ceil((float(ndtri(1 - alpha) + ndtri(power)) * deviation / distance) ** 2)
