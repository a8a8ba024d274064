"""Bootstrap weights over examples, and percentile intervals."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, Int

from overmem.records import Estimate
from overmem.seeds import generator


def bootstrap_weights(
    n: int, draws: int, *purpose: object, clusters: Int[np.ndarray, " examples"] | None = None
) -> Float32[np.ndarray, "draws examples"]:
    """How often each resample contains each example. A resampled mean is `weights @ values / weights.sum(1)`.

    With `clusters`, whole clusters are resampled (all completions of a question, for instance). The weights depend only
    on the arguments, so two statistics with the same arguments are paired.

    Args:
        n: number of examples.
        draws: number of resamples.
        purpose: seed, and what the resamples are for.
        clusters: the cluster of each example.
    """
    if clusters is None:
        return _counts(n, draws, purpose)
    _, index = np.unique(clusters, return_inverse=True)
    return _counts(int(index.max(initial=-1)) + 1, draws, (n, *purpose))[:, index]


@lru_cache(maxsize=4)
def _counts(n: int, draws: int, purpose: tuple[object, ...]) -> Float32[np.ndarray, "draws examples"]:
    """Read-only, because it is cached for further statistics of the same examples."""
    rng = generator("bootstrap", n, draws, *purpose)
    index = rng.integers(0, n, size=(draws, n)) + n * np.arange(draws)[:, None]
    counts = np.bincount(index.ravel(), minlength=n * draws).reshape(draws, n).astype(np.float32)
    counts.flags.writeable = False
    return counts


def percentiles(
    resampled: Float[np.ndarray, " draws"], value: float | None, n: int, note: str = "", level: float = 0.95
) -> Estimate:
    """A value with the percentile interval of its resamples.

    Args:
        resampled: the value in every resample; non-finite ones are left out.
        value: the value in the data.
        n: number of examples.
        note: note of the estimate.
        level: coverage of the interval.
    """
    finite = resampled[np.isfinite(resampled)]
    if value is None or not np.isfinite(value):
        return Estimate(None, n=n, note=note or "no value")
    if len(finite) < 20:
        return Estimate(float(value), n=n, note=note or "too few finite resamples: no interval")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(value), float(low), float(high), n, note)
