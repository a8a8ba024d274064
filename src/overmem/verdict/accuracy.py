"""Whether accuracy is kept or lost: a checkpoint's stretch against every other stretch of the run.

*Kept* is an intersection of tests: accuracy is shown to lie no more than the margin below **each** stretch of one, two
or three neighbouring blocks of checkpoints. None of them is chosen, so there is no winner's curse, and the error rate
holds for whichever is truly the best. A single block leads its neighbours by luck of sampling in every run: in a run
of four blocks or more its lead counts only where it stands out. Where luck outweighs sampling, two or three lucky
checkpoints lead as easily, and the plateau takes their place. *Lost* needs one stretch that is shown to be better, and
pays for the search.

Checkpoints whose perplexity has risen are judged as one stretch where their accuracies agree and do not decline: their
luck is averaged, and one test is one chance. Elsewhere each has its window of neighbours, and luck pays for its
chances.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtri, stdtr

from overmem.verdict.luck import ACCURACY_GRID, ACCURACY_PRIOR, Luck, luck
from overmem.verdict.pooling import is_one_stretch, pooled_over, windows
from overmem.verdict.rise import paired_variance
from overmem.verdict.windows import around, stretches, unit

STANDS_OUT = 0.12
"""Share of flat runs in which some single block would stand out; `studies.limits` shows what no choice can have."""
WIDER = 5
"""Blocks that are pooled where they agree when a single block is compared with: it is one more source of noise."""
CHANCES = 4.0
"""Independent stretches, about, that luck gives a chance to look kept before the last one."""
UNDERRATED = 1.3
"""What true luck may be over its estimate: where the plateau is compared with, too little luck is a false alarm."""
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
    """Accuracy of the checkpoint's window."""
    gap: Float[np.ndarray, " checkpoints"]
    """`pooled` minus the plateau of the run."""
    gap_stderr: Float[np.ndarray, " checkpoints"]
    judged: Float[np.ndarray, " checkpoints"]
    """Accuracy that `p_kept` is about: that of the risen stretch for its members, else `pooled`."""
    judged_stderr: Float[np.ndarray, " checkpoints"]
    """Standard error of `judged` minus the plateau."""
    is_member: Bool[np.ndarray, " checkpoints"]
    """Judged as part of the risen stretch."""
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
    risen: Bool[np.ndarray, " checkpoints"] | None = None,
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
        risen: the checkpoints at the end of the run whose perplexity is costly; None for none.
    """
    count = len(means)
    risen = np.zeros(count, dtype=bool) if risen is None else risen
    known = luck(means, covariance, ACCURACY_GRID, ACCURACY_PRIOR, settled=risen)
    total = covariance + (known.deviation**2 + 1e-9) * np.eye(count)
    # Pooled by more luck, a window would reach down to checkpoints that still learn.
    least_luck = luck(means, covariance, ACCURACY_GRID, ACCURACY_PRIOR).deviation
    alike = covariance + (least_luck**2 + 1e-9) * np.eye(count)
    own, wider = windows(means, alike), windows(means, alike, WIDER)
    is_member = risen & is_one_stretch(means, total, risen)
    judged = pooled_over(own, is_member)
    rows, blocks = stretches(count)
    plateau, level, level_stderr = _plateau(rows, blocks, means, covariance, known)
    margin = min(margin, 0.1 * max(level, 1e-9))
    floor = max(margin * step / 3 - margin**2, 0.0) / least if least else 0.0
    alone = (blocks == 1) & (count >= 4 * unit(count))
    lead = _Lead(means, covariance, rows, alone, floor)
    of_window, of_judged = lead.of(own, wider), lead.of(judged, pooled_over(wider, is_member))
    sampling = paired_variance(covariance) / 2
    outlier = float(ndtri(1 - STANDS_OUT / min(count, 3 * count / unit(count))))
    p_kept, p_kept_of_many, p_lower, p_lost, p_climbing = (np.zeros(count) for _ in range(5))
    since = np.clip((2 * np.arange(count) + trough + 2) // 3, 0, count - 1)
    climb = own - around(count)[since]
    last = (own[:, -1] > 0) | (np.arange(count) == count - 1)
    for value, weight in zip(known.values, known.weights, strict=True):
        if weight < 1e-4:
            continue
        z, error, same = of_judged.z(value)
        kept = np.where(alone, np.maximum(z + margin / error, z + outlier + 1.645), z + margin / error)
        kept = np.where(same, np.inf, kept)
        shown = kept.min(1)
        if value**2 > sampling:
            against = _z(judged - plateau, means, covariance, UNDERRATED * value, margin, floor)
            shown = np.minimum(against, np.where(alone, kept, np.inf).min(1))
        p = stdtr(freedom, -shown)
        p_kept += weight * p
        p_kept_of_many += weight * np.minimum(1, np.where(last | is_member | (value == 0), 1.0, CHANCES) * p)
        z, error, same = of_window.z(value)
        lower = np.where(same, -np.inf, -z - outlier * alone)
        p_lower += weight * np.minimum(1, SEARCHED * stdtr(freedom, -lower.max(1)))
        lost = np.where(same, -np.inf, -z - np.where(alone, np.maximum(margin / error, outlier), margin / error))
        p_lost += weight * np.minimum(1, SEARCHED * stdtr(freedom, -lost.max(1)))
        p_climbing += weight * stdtr(freedom, -_z(climb, means, covariance, value, -margin))
    z, error, same = of_judged.z(known.deviation)
    bound = np.where(same, np.inf, (z - float(ndtri(1 - alpha))) * error)
    bound = np.where(alone & (z > -outlier), np.maximum(bound, 0.0), bound)
    worst = np.minimum(bound.min(1), judged @ means - level)
    worst = np.where(p_kept < alpha, np.maximum(worst, -margin + 1e-6), np.minimum(worst, -margin))
    order = np.arange(count)
    error_of = [np.sqrt(np.maximum(_squares(w - plateau, total), 1e-12)) for w in (own, judged)]
    lucky = known.deviation**2 * ((judged - plateau) ** 2).sum(1)
    return AccuracyTests(
        pooled=own @ means,
        gap=own @ means - level,
        gap_stderr=error_of[0],
        judged=judged @ means,
        judged_stderr=error_of[1],
        is_member=is_member,
        p_kept=p_kept,
        p_kept_of_many=p_kept_of_many,
        p_lower=p_lower,
        p_lost=p_lost,
        p_climbing=p_climbing,
        later=np.array([plateau[order > i].sum() for i in order]),
        plateau=plateau,
        level=level,
        level_stderr=level_stderr,
        margin=margin,
        worst=worst,
        luck_share=lucky / np.maximum(error_of[1] ** 2, 1e-12),
        luck=known,
    )


@dataclass(frozen=True)
class _Gaps:
    """Differences of each checkpoint's window from every stretch, and the variance of each: of sampling, per luck."""

    gap: Float[np.ndarray, "checkpoints stretches"]
    sampling: Float[np.ndarray, "checkpoints stretches"]
    lucky: Float[np.ndarray, "checkpoints stretches"]

    def z(self, luck: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gap over its standard error, that error, and where a window would be compared with itself."""
        error = np.sqrt(np.maximum(self.sampling + luck**2 * self.lucky, 1e-12))
        return self.gap / error, error, self.lucky < 1e-9


@dataclass(frozen=True)
class _Lead:
    """What every window is compared with."""

    means: Float[np.ndarray, " checkpoints"]
    covariance: Float[np.ndarray, "checkpoints checkpoints"]
    rows: Float[np.ndarray, "stretches checkpoints"]
    alone: Bool[np.ndarray, " stretches"]
    """Single blocks, which the wider window is compared with."""
    floor: float
    """The least sampling variance of a difference."""

    def of(self, weights: np.ndarray, wider: np.ndarray) -> _Gaps:
        """The gaps of windows, those of `wider` from single blocks."""
        gap, sampling, lucky = (
            np.where(self.alone, a, b) for a, b in zip(self._of(wider), self._of(weights), strict=True)
        )
        return _Gaps(gap, np.maximum(sampling, self.floor * (lucky > 1e-9)), lucky)

    def _of(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        gap = (weights @ self.means)[:, None] - (self.rows @ self.means)[None]
        identity = np.eye(len(self.means))
        return gap, _variance(weights, self.rows, self.covariance), _variance(weights, self.rows, identity)


def _z(
    rows: np.ndarray, means: np.ndarray, covariance: np.ndarray, luck: float, margin: float, floor: float = 0.0
) -> Float[np.ndarray, " rows"]:
    """Each contrast of the accuracies plus the margin, over its standard error."""
    lucky = (rows**2).sum(1)
    sampling = np.maximum(_squares(rows, covariance), floor * (lucky > 1e-9))
    return np.asarray((rows @ means + margin) / np.sqrt(np.maximum(sampling + luck**2 * lucky, 1e-12)))


def _variance(
    left: Float[np.ndarray, "checkpoints c"], right: Float[np.ndarray, "stretches c"], covariance: np.ndarray
) -> Float[np.ndarray, "checkpoints stretches"]:
    """Variance of every difference between a row of `left` and a row of `right`."""
    a, b = left @ covariance, right @ covariance
    own, other = (a * left).sum(1), (b * right).sum(1)
    return np.asarray(np.maximum(own[:, None] + other[None] - 2 * a @ right.T, 0.0))


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
