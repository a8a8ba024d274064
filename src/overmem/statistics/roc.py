"""AUROC and the true positive rate at a low false positive rate, with intervals."""

from dataclasses import replace
from functools import lru_cache
from math import exp, log, sqrt

import numpy as np
from jaxtyping import Float
from scipy.special import betainc
from scipy.stats import rankdata

from overmem.records import Estimate
from overmem.statistics.intervals import Z, bisect, share, wilson


def auroc(members: Float[np.ndarray, " members"], others: Float[np.ndarray, " others"]) -> Estimate:
    """The probability that a member scores above a non-member (ties count half), with DeLong's interval on the logit.

    Without any overlap the variance is 0; the interval is then Wilson's for a share without failures.

    Source: DeLong et al. 1988, https://doi.org/10.2307/2531595.
    """
    m, n = len(members), len(others)
    if min(m, n) < 2:
        return Estimate(None, n=m + n, note="fewer than two members or non-members")
    if not (np.isfinite(members).all() and np.isfinite(others).all()):
        return Estimate(None, n=m + n, note="a score is not finite")
    above, below = _placements(members, others)
    value = float(above.mean())
    stderr = sqrt(float(above.var(ddof=1)) / m + float(below.var(ddof=1)) / n)
    if value in (0.0, 1.0):
        edge = share(round(value * min(m, n)), min(m, n))
        return replace(edge, value=value, n=m + n, stderr=stderr)
    logit, half = log(value / (1 - value)), Z * stderr / (value * (1 - value))
    return Estimate(value, _expit(logit - half), _expit(logit + half), m + n, stderr=stderr)


def auroc_difference(
    members: Float[np.ndarray, " members"],
    others: Float[np.ndarray, " others"],
    members_before: Float[np.ndarray, " members"],
    others_before: Float[np.ndarray, " others"],
) -> Estimate:
    """AUROC of these scores minus that of earlier scores of the same examples, with DeLong's paired variance.

    If both separate the two samples perfectly, the interval is as wide as that of a share without failures.

    Args:
        members: scores of members.
        others: scores of non-members.
        members_before: earlier scores of the same members.
        others_before: earlier scores of the same non-members.

    Source: DeLong et al. 1988, https://doi.org/10.2307/2531595.
    """
    m, n = len(members), len(others)
    if min(m, n) < 2:
        return Estimate(None, n=m + n, note="fewer than two members or non-members")
    if not all(np.isfinite(x).all() for x in (members, others, members_before, others_before)):
        return Estimate(None, n=m + n, note="a score is not finite")
    above, below = _placements(members, others)
    above_before, below_before = _placements(members_before, others_before)
    value = float(above.mean() - above_before.mean())
    variance = (above - above_before).var(ddof=1) / m + (below - below_before).var(ddof=1) / n
    half = Z * sqrt(float(variance)) or Z**2 / (min(m, n) + Z**2)
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half), m + n, stderr=sqrt(float(variance)))


def _placements(
    members: Float[np.ndarray, " members"], others: Float[np.ndarray, " others"]
) -> tuple[Float[np.ndarray, " members"], Float[np.ndarray, " others"]]:
    """Share of the others below each member, and share of the members above each other; ties count half."""
    m, n = len(members), len(others)
    ranks = rankdata(np.concatenate([members, others]))
    return (ranks[:m] - rankdata(members)) / n, 1 - (ranks[m:] - rankdata(others)) / m


def _expit(x: float) -> float:
    return 1 / (1 + exp(-min(max(x, -700.0), 700.0)))


def tpr_at(rate: float, members: Float[np.ndarray, " members"], others: Float[np.ndarray, " others"]) -> Estimate:
    """The share of members above the threshold that at most `rate` of the non-members exceed.

    The interval is for the share at a true rate of `rate`. Its arms add in quadrature the uncertainty of the members
    (Wilson's) and of the threshold: the probability that a non-member exceeds the j-th largest of n is Beta(j, n+1-j).
    In simulation this covers; a bootstrap, which cannot go beyond the largest values, does not.
    Fewer than 1/rate non-members cannot resolve the rate: the threshold is then their maximum, the value is for a rate
    below 1/n, and the note says so.
    """
    m, n = len(members), len(others)
    if min(m, n) < 2:
        return Estimate(None, n=m + n, note="fewer than two members or non-members")
    if not (np.isfinite(members).all() and np.isfinite(others).all()):
        return Estimate(None, n=m + n, note="a score is not finite")
    thresholds = np.sort(others)[::-1]
    above = np.concatenate([[0.0], 1 - np.searchsorted(np.sort(members), thresholds, side="right") / m])
    least, middle, most = (float(np.interp(rank, np.arange(n + 1), above)) for rank in _ranks(rate, n))
    ends = wilson(middle * m, m)
    low = middle - sqrt((middle - least) ** 2 + (middle - ends[0]) ** 2)
    high = middle + sqrt((most - middle) ** 2 + (ends[1] - middle) ** 2)
    allowed = int(rate * n + 1e-9)
    value = float(above[allowed + 1])
    note = "" if allowed else f"{n} non-members cannot resolve a rate of {rate:g}: no false positive is allowed"
    stderr = (high - low) / (2 * Z)
    return Estimate(value, max(0.0, min(low, value)), min(1.0, max(high, value)), m + n, note, stderr)


@lru_cache
def _ranks(rate: float, n: int) -> tuple[float, float, float]:
    """Lower, mean and upper rank, counted from the largest of n non-members, of the threshold with a true rate `rate`.

    The outer two are a 95% interval. Ranks need not be integers; one below 1 is above all non-members.
    """
    middle = (n + 1) * rate
    return _rank(rate, n, 0.975), middle, _rank(rate, n, 0.025)


def _rank(rate: float, n: int, chance: float) -> float:
    return bisect(lambda rank: bool(betainc(rank, n + 1 - rank, rate) > chance), 1e-9, float(n), steps=60)[0]
