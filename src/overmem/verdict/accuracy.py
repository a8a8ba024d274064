"""Whether accuracy is kept or lost: a checkpoint's stretch against every other stretch of the run.

*Kept* is an intersection of tests: accuracy is shown to lie no more than the margin below **each** stretch of one, two
or three neighbouring blocks of checkpoints. None of them is chosen, so there is no winner's curse, and the error rate
holds for whichever is truly the best. A single block leads its neighbours by luck of sampling in every run: in a run
of four blocks or more its lead counts only where it stands out. *Lost* needs one stretch that is shown to be better,
and pays for the search.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import chdtrc, ndtri, stdtr

from overmem.verdict.luck import ACCURACY_GRID, ACCURACY_PRIOR, Luck, luck
from overmem.verdict.windows import around, stretches, unit

STANDS_OUT = 0.12
"""Share of flat runs in which some single block would stand out; `studies.limits` shows what no choice can have."""
WIDER = 5
"""Blocks that are pooled where they agree when a single block is compared with: it is one more source of noise."""
CHANCES = 4.0
"""Independent stretches, about, that luck gives a chance to look kept before the last one."""
HOMOGENEOUS = 0.05
"""Neighbours are pooled unless Cochran's Q is less probable than this."""
SEARCHED = 3.0
"""Independent stretches, about, among which a better one is looked for."""
HANDICAP = (1.0, 0.5, 0.25)
"""Standard errors taken off a stretch of one, two and three blocks when the plateau is weighted."""
SOFTNESS = 0.5
"""Of the plateau's weights: a stretch this many standard errors below the best weighs exp(-1)."""


@dataclass(frozen=True)
class AccuracyTests:
    """One row per trained checkpoint, in time order."""

    pooled: Float[np.ndarray, " checkpoints"]
    """Accuracy of the checkpoint's stretch."""
    gap: Float[np.ndarray, " checkpoints"]
    """`pooled` minus the plateau of the run."""
    gap_stderr: Float[np.ndarray, " checkpoints"]
    p_kept: Float[np.ndarray, " checkpoints"]
    """One-sided p of a loss of the margin or more."""
    p_kept_of_many: Float[np.ndarray, " checkpoints"]
    """The same where luck pays for its chances: some earlier stretch of many looks kept by luck more often than one."""
    p_lower: Float[np.ndarray, " checkpoints"]
    """One-sided p of no loss."""
    p_lost: Float[np.ndarray, " checkpoints"]
    """One-sided p of a loss of no more than the margin."""
    p_climbing: Float[np.ndarray, " checkpoints"]
    """One-sided p of not having gained more than the margin in the last third of the time since the trough."""
    later: Float[np.ndarray, " checkpoints"]
    """Share of the plateau that comes later."""
    plateau: Float[np.ndarray, " checkpoints"]
    """Weight of each checkpoint in the plateau; sums to 1."""
    level: float
    """Accuracy of the plateau."""
    level_stderr: float
    margin: float
    worst: Float[np.ndarray, " checkpoints"]
    """Lower bound of the gap at the level of the test of `p_kept`."""
    luck_share: Float[np.ndarray, " checkpoints"]
    """Share of the variance of the gap that is luck: more examples do not lessen it."""
    luck: Luck


def accuracy_tests(
    means: Float[np.ndarray, " checkpoints"],
    covariance: Float[np.ndarray, "checkpoints checkpoints"],
    freedom: int,
    margin: float,
    trough: int = 0,
    step: float = 1.0,
    least: int | None = None,
    alpha: float = 0.05,
) -> AccuracyTests:
    """The tests of every checkpoint, luck averaged over what is known of it.

    Args:
        means: accuracies of the trained checkpoints.
        covariance: of their sampling errors.
        freedom: clusters of examples, less one.
        margin: the loss that does not matter; a tenth of the plateau where that is less.
        trough: the checkpoint of least nll, from which climbing is counted.
        step: the smallest difference that one example can show.
        least: examples, where a true loss of the margin needs some discordant answers; None where unknown.
        alpha: level of the lower bound.
    """
    count = len(means)
    known = luck(means, covariance, ACCURACY_GRID, ACCURACY_PRIOR)
    rows, blocks = stretches(count)
    own = _own(means, covariance, known)
    wider = _own(means, covariance, known, WIDER)
    pooled, other = own @ means, rows @ means
    plateau, level, level_stderr = _plateau(rows, blocks, means, covariance, known)
    margin = min(margin, 0.1 * max(level, 1e-9))
    gap = pooled[:, None] - other[None]
    sampling, lucky = _variance(own, rows, covariance), _variance(own, rows, np.eye(count))
    alone = (blocks == 1)[None] & (count >= 4 * unit(count))
    of_peak = alone & np.ones((count, 1), dtype=bool)
    gap = np.where(of_peak, (wider @ means)[:, None] - other[None], gap)
    sampling = np.where(of_peak, _variance(wider, rows, covariance), sampling)
    lucky = np.where(of_peak, _variance(wider, rows, np.eye(count)), lucky)
    if least:
        sampling = np.maximum(sampling, max(margin * step / 3 - margin**2, 0.0) / least * (lucky > 1e-9))
    outlier = float(ndtri(1 - STANDS_OUT / min(count, 3 * count / unit(count))))
    p_kept, p_kept_of_many, p_lower, p_lost, p_climbing = (np.zeros(count) for _ in range(5))
    since = np.clip((2 * np.arange(count) + trough + 2) // 3, 0, count - 1)
    climb = around(count)[since]
    last = (own[:, -1] > 0) | (np.arange(count) == count - 1)
    for value, weight in zip(known.values, known.weights, strict=True):
        if weight < 1e-4:
            continue
        error = np.sqrt(np.maximum(sampling + value**2 * lucky, 1e-12))
        z = gap / error
        same = lucky < 1e-9
        kept = np.where(alone, np.maximum(z + margin / error, z + outlier + 1.645), z + margin / error)
        p = stdtr(freedom, -np.where(same, np.inf, kept).min(1))
        p_kept += weight * p
        p_kept_of_many += weight * np.minimum(1, np.where(last | (value == 0), 1.0, CHANCES) * p)
        lower = np.where(same, -np.inf, -z - outlier * alone)
        p_lower += weight * np.minimum(1, SEARCHED * stdtr(freedom, -lower.max(1)))
        lost = np.where(same, -np.inf, -z - np.where(alone, np.maximum(margin / error, outlier), margin / error))
        p_lost += weight * np.minimum(1, SEARCHED * stdtr(freedom, -lost.max(1)))
        rise = own - climb
        spread = _squares(rise, covariance) + value**2 * (rise**2).sum(1)
        p_climbing += weight * stdtr(freedom, -(rise @ means - margin) / np.sqrt(np.maximum(spread, 1e-12)))
    against = own - plateau
    total = _squares(against, covariance) + known.deviation**2 * (against**2).sum(1)
    lucky_part = known.deviation**2 * (against**2).sum(1)
    error = np.sqrt(np.maximum(sampling + known.deviation**2 * lucky, 1e-12))
    level_of = float(ndtri(1 - alpha))
    bound = np.where(lucky < 1e-9, np.inf, gap - level_of * error)
    bound = np.where(alone & (gap > -outlier * error), np.maximum(bound, 0.0), bound)
    worst = np.minimum(bound.min(1), pooled - level)
    worst = np.where(p_kept < alpha, np.maximum(worst, -margin + 1e-6), np.minimum(worst, -margin))
    order = np.arange(count)
    later = np.array([plateau[order > i].sum() for i in order])
    return AccuracyTests(
        pooled,
        pooled - level,
        np.sqrt(np.maximum(total, 1e-12)),
        p_kept,
        p_kept_of_many,
        p_lower,
        p_lost,
        p_climbing,
        later,
        plateau,
        level,
        level_stderr,
        margin,
        worst,
        lucky_part / np.maximum(total, 1e-12),
        known,
    )


def _variance(
    left: Float[np.ndarray, "checkpoints c"], right: Float[np.ndarray, "stretches c"], covariance: np.ndarray
) -> Float[np.ndarray, "checkpoints stretches"]:
    """Variance of every difference between a row of `left` and a row of `right`."""
    a, b = left @ covariance, right @ covariance
    own, other = (a * left).sum(1), (b * right).sum(1)
    return np.asarray(np.maximum(own[:, None] + other[None] - 2 * a @ right.T, 0.0))


def _own(
    means: Float[np.ndarray, " checkpoints"], covariance: np.ndarray, known: Luck, most: int = 3
) -> Float[np.ndarray, "checkpoints checkpoints"]:
    """Each checkpoint's stretch: three blocks, or up to `most`, where they agree; else its own block."""
    total = covariance + (known.deviation**2 + 1e-9) * np.eye(len(means))
    found = around(len(means), 1)
    for blocks in range(3, most + 1, 2):
        wide = around(len(means), blocks)
        found = np.where(_alike(means, total, wide)[:, None], wide, found)
    return found


def _alike(
    means: Float[np.ndarray, " checkpoints"], total: np.ndarray, rows: np.ndarray
) -> Bool[np.ndarray, " checkpoints"]:
    """Whether Cochran's Q lets the checkpoints of each row, of one width, be pooled."""
    width = int(np.count_nonzero(rows[0]))
    if width < 2:
        return np.ones(len(rows), dtype=bool)
    place = np.argmax(rows > 0, axis=1)[:, None] + np.arange(width)
    change = np.diff(np.eye(width), axis=0)
    seen = means[place] @ change.T  # checkpoints, differences
    errors = change @ total[place[:, :, None], place[:, None]] @ change.T  # checkpoints, differences, differences
    q = (seen * np.linalg.solve(errors, seen[..., None])[..., 0]).sum(1)
    return np.asarray(chdtrc(width - 1, q) >= HOMOGENEOUS)


def _squares(rows: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Variance of each row of weights."""
    return np.asarray((rows @ covariance * rows).sum(1))


def _plateau(
    rows: np.ndarray, blocks: np.ndarray, means: Float[np.ndarray, " checkpoints"], covariance: np.ndarray, known: Luck
) -> tuple[Float[np.ndarray, " checkpoints"], float, float]:
    """Weights of the plateau: stretches by how near they come to the best of them, short ones handicapped."""
    total = covariance + known.deviation**2 * np.eye(len(means))
    d = rows - rows.mean(0)
    error = np.sqrt(np.maximum(_squares(d, total), 1e-10))
    values = rows @ means - np.array(HANDICAP)[blocks.astype(int) - 1] * error
    weights = np.exp((values - values.max()) / (SOFTNESS * float(np.median(error))))
    weights = weights / weights.sum() @ rows
    return weights, float(weights @ means), float(np.sqrt(max(weights @ total @ weights, 0.0)))
