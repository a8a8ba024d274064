"""Whether perplexity has risen: the log nll of each checkpoint over that of the trough, luck priced.

On a log scale the tokens cancel: neither the length of solutions nor tokens that a template fixes change anything. What
is costly is a rise of 15% or more that is also half a nat or more per solution. Questions are asked from the last
checkpoint backwards, so that many checkpoints do not make many chances: a rise that later checkpoints lose again was a
passing one, and is not called costly.
"""

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri, stdtr

from overmem.verdict.luck import NLL_GRID, NLL_PRIOR, Luck, luck
from overmem.verdict.windows import around, local_line, unit

RISE = 0.15
"""The relative rise of nll per token that matters."""
NATS = 0.5
"""The rise in nats per solution that matters."""


@dataclass(frozen=True)
class RiseTests:
    """One row per trained checkpoint, in time order."""

    log_rise: Float[np.ndarray, " checkpoints"]
    """Log of nll over that of the trough, of the trend."""
    stderr: Float[np.ndarray, " checkpoints"]
    p_costly: Float[np.ndarray, " checkpoints"]
    """One-sided p of a rise of no more than the limit, asked from the last checkpoint backwards."""
    p_alone: Float[np.ndarray, " checkpoints"]
    """The same of each checkpoint alone."""
    p_cheap: Float[np.ndarray, " checkpoints"]
    """One-sided p of a rise of the limit or more."""
    trough: int
    level: float
    """Nll per token at the trough."""
    limit: float
    """The log rise that matters."""
    luck: Luck


def rise_limit(per_solution: float, per_token: float, rise: float, nats: float, d_nll: float | None) -> float:
    """The log rise that matters: `rise` and `nats` per solution both; or `d_nll` nats per token where that is set."""
    if d_nll is not None:
        return log(1 + d_nll / max(per_token, 1e-9))
    return max(log(1 + rise), log(1 + nats / max(per_solution, 1e-9)))


def rise_tests(
    levels: Float[np.ndarray, " checkpoints"],
    covariance: Float[np.ndarray, "checkpoints checkpoints"],
    freedom: int,
    mean_tokens: float | None,
    *,
    rise: float = RISE,
    nats: float = NATS,
    d_nll: float | None = None,
) -> RiseTests:
    """The tests of every checkpoint.

    Args:
        levels: log nll per token of the trained checkpoints.
        covariance: of their sampling errors.
        freedom: clusters of examples, less one.
        mean_tokens: tokens of a solution; None where unknown, and then nats per solution do not count.
        rise: the relative rise that matters.
        nats: the rise in nats per solution that matters.
        d_nll: the rise in nats per token that matters, in place of both.
    """
    count = len(levels)
    known = luck(levels, covariance, NLL_GRID, NLL_PRIOR)
    sampling = paired_variance(covariance)
    p_costly, p_cheap, mean, square = (np.zeros(count) for _ in range(4))
    low = float(np.exp(levels.min()))
    limit = rise_limit(low * (mean_tokens or np.inf), low, rise, nats, d_nll)
    troughs: dict[int, float] = {}
    for value, weight in zip(known.values, known.weights, strict=True):
        if weight < 1e-4:
            continue
        smooth = bool(value**2 > sampling)
        own, bottom, place = trend(levels, smooth=smooth)
        d = own - bottom
        variance = (d @ covariance * d).sum(1) + value**2 * (d**2).sum(1)
        error = np.sqrt(np.maximum(variance, 1e-12))
        curse = winners_curse(count, value, sampling, bottom, smooth=smooth)
        effect = d @ levels
        after = np.arange(count) > place
        p_costly += weight * np.where(after, stdtr(freedom, -(effect - curse - limit) / error), 1.0)
        p_cheap += weight * stdtr(freedom, -(limit - effect) / error)
        mean += weight * (effect - curse / 2)
        square += weight * (variance + (effect - curse / 2) ** 2)
        troughs[place] = troughs.get(place, 0.0) + weight
    place = max(troughs, key=lambda k: troughs[k])
    return RiseTests(
        mean,
        np.sqrt(np.maximum(square - mean**2, 1e-12)),
        np.maximum.accumulate(p_costly[::-1])[::-1],
        p_costly,
        p_cheap,
        place,
        float(np.exp(levels[place])),
        limit,
        known,
    )


def trend(
    levels: Float[np.ndarray, " checkpoints"], *, smooth: bool
) -> tuple[Float[np.ndarray, "checkpoints checkpoints"], Float[np.ndarray, " checkpoints"], int]:
    """Weights of each checkpoint's level by the trend, those of the trough, and its place.

    Where luck outweighs sampling (`smooth`), a level is that of a line through the neighbours, never across the trough.
    """
    count = len(levels)
    rows = around(count) if smooth else np.eye(count)
    place = int((rows @ levels).argmin())
    if not smooth:
        return rows, rows[place], place
    return trend_from(count, place), rows[place], place


def trend_from(count: int, trough: int) -> Float[np.ndarray, "checkpoints checkpoints"]:
    """Weights of each checkpoint's level by the trend: the mean around it before the trough, a line from there on."""
    own = np.stack([local_line(count, i, trough) for i in range(count)])
    own[: trough + 1] = around(count)[: trough + 1]
    return own


def winners_curse(
    count: int, luck: float, sampling: float, bottom: Float[np.ndarray, " checkpoints"], *, smooth: bool
) -> float:
    """How far the trough, the least of many, lies too low by luck and by sampling.

    Args:
        count: checkpoints.
        luck: standard deviation of the luck of a log nll.
        sampling: variance of the difference of two neighbours.
        bottom: weights of the trough.
        smooth: whether the trough is that of a trend.
    """
    candidates = max(count / (2 * unit(count)) if smooth else count / 3, 2.0)
    lowest = float(ndtri((candidates - 0.375) / (candidates + 0.25)))
    return sqrt((luck**2 + sampling / 2) * float(bottom @ bottom)) * lowest


def paired_variance(covariance: Float[np.ndarray, "checkpoints checkpoints"]) -> float:
    """Median sampling variance of the difference of two neighbours."""
    if len(covariance) < 2:
        return float(covariance[0, 0])
    change = np.diff(np.eye(len(covariance)), axis=0)
    return float(np.median((change @ covariance * change).sum(1)))
