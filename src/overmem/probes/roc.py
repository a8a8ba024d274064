"""Two samples of scores told apart: AUROC and the true positive rate at a low false positive rate, with intervals."""

from math import exp, log, sqrt

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from overmem.probes.estimates import Number, proportion
from overmem.seeds import generator
from overmem.stats import Z


def auroc(members: Float[np.ndarray, " members"], others: Float[np.ndarray, " others"]) -> Number:
    """Chance that a member scores above a non-member, ties counting half, with DeLong's variance on the logit scale.

    Where the two do not overlap at all the variance is 0; the interval then ends where one pair in conflict would lie.

    Source: DeLong et al. 1988, https://doi.org/10.2307/2531595.
    """
    m, n = len(members), len(others)
    if min(m, n) < 2:
        return Number(None, n=m + n, note="fewer than two members or non-members")
    if not (np.isfinite(members).all() and np.isfinite(others).all()):
        return Number(None, n=m + n, note="a score is not finite")
    ranks = rankdata(np.concatenate([members, others]))
    above = (ranks[:m] - rankdata(members)) / n
    below = 1 - (ranks[m:] - rankdata(others)) / m
    value = float(above.mean())
    stderr = sqrt(float(above.var(ddof=1)) / m + float(below.var(ddof=1)) / n)
    if value in (0.0, 1.0):
        edge = proportion(round(value * min(m, n)), min(m, n))
        return Number(value, stderr, edge.low, edge.high, m + n)
    logit, half = log(value / (1 - value)), Z * stderr / (value * (1 - value))
    return Number(value, stderr, _expit(logit - half), _expit(logit + half), m + n)


def _expit(x: float) -> float:
    return 1 / (1 + exp(-min(max(x, -700.0), 700.0)))


def tpr_at(
    rate: float, members: Float[np.ndarray, " members"], others: Float[np.ndarray, " others"], *, seed: object = 0
) -> Number:
    """Share of members above the threshold that at most `rate` of the non-members exceed, with a bootstrap interval.

    Both samples are drawn again (1,000 seeded resamples, percentiles), and the interval is never narrower than Wilson's
    at a fixed threshold. Fewer than 1/rate non-members cannot resolve
    the rate: the threshold is then their maximum, the value stands for a rate below 1/n, and the note says so.
    """
    m, n = len(members), len(others)
    if min(m, n) < 2:
        return Number(None, n=m + n, note="fewer than two members or non-members")
    if not (np.isfinite(members).all() and np.isfinite(others).all()):
        return Number(None, n=m + n, note="a score is not finite")
    allowed = int(rate * n + 1e-9)
    value = _tpr(members[None], others[None], allowed)[0]
    random = generator("true positive rate", rate, seed)
    ours, theirs = np.sort(members), np.sort(others)
    again = _tpr(ours[random.integers(0, m, (1000, m))], theirs[random.integers(0, n, (1000, n))], allowed)
    low, high = (float(x) for x in np.quantile(again, [0.025, 0.975]))
    wilson = proportion(round(float(value) * m), m)
    low, high = min(low, wilson.low or 0.0), max(high, wilson.high or 0.0)
    note = "" if allowed else f"{n} non-members cannot resolve a rate of {rate:g}: no false positive is allowed"
    return Number(float(value), float(again.std(ddof=1)), low, high, m + n, note)


def _tpr(
    members: Float[np.ndarray, "draws members"], others: Float[np.ndarray, "draws others"], allowed: int
) -> Float[np.ndarray, " draws"]:
    at = others.shape[1] - 1 - allowed
    threshold = np.partition(others, at, axis=1)[:, at]
    return np.asarray((members > threshold[:, None]).mean(1))
