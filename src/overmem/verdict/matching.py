"""Which checkpoints of two runs are compared, chosen on val, and how they differ on test. Pure.

Fixed before test is looked at: each run's recommended checkpoint, its last one, and the one of lowest nll at the
accuracy that both runs reach. So a run and its copy come out equal. In addition there are contrasts, pairs of equal
accuracy whose perplexities differ most: they say nothing about the runs, but accuracy does not explain what else their
two checkpoints differ in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

import numpy as np
from jaxtyping import Float, Int
from scipy.special import stdtr

from overmem import statistics
from overmem.records import Curves, Estimate, Limits
from overmem.statistics import Z
from overmem.verdict.candidates import selection_inputs
from overmem.verdict.clusters import cluster_sums, log_ratio_and_covariance, mean_and_covariance
from overmem.verdict.luck import ACCURACY_GRID, ACCURACY_PRIOR, NLL_GRID, NLL_PRIOR, luck
from overmem.verdict.selection import SELECTION_RULES

SURE = (2.5, 1.645)
"""Standard errors by which a contrast's accuracies lie inside the margin on val: the first that any pair reaches."""

RESAMPLES = 40
"""Resamples of the questions of val, for how sure the choice is."""


@dataclass(frozen=True)
class Place:
    """Two checkpoints to compare, by their rows in the curves of RUN_A and of RUN_B."""

    kinds: tuple[str, ...]
    """Why: `recommended`, `last`, `matched` (several, where they are the same two), or `contrast`."""
    a: int
    b: int
    first: str = "a"
    """Whose checkpoint comes first, and is subtracted: `a`; of a contrast the one of lower nll on val."""
    spread: tuple[Float[np.ndarray, " a"], Float[np.ndarray, " b"]] | None = None
    """How often each checkpoint of the two runs would be chosen on other questions; None where nothing is chosen."""


@dataclass(frozen=True)
class Difference:
    """The second checkpoint of a pair minus the first one, on the same examples."""

    accuracy: Estimate
    nll: Estimate
    """In nats per token."""
    p_accuracy: float
    """Two-sided, that the accuracies are equal."""
    p_nll: float
    """Two-sided, that the nll differ by no more than the limit."""
    p_equivalent: float
    """That the accuracies differ by the margin or more: the larger of two one-sided tests."""
    influence: Float[np.ndarray, "measures questions"]
    """What each question adds to the error of `accuracy` and of `nll`, as far as the questions are the cause of it."""


@dataclass(frozen=True)
class RunLuck:
    """Standard deviations of the luck of a run's checkpoints: of log nll, and of accuracy."""

    nll: float
    accuracy: float


NO_LUCK = RunLuck(0.0, 0.0)
LEAST_LUCK = RunLuck(0.01, 0.01)
"""Taken for granted with one seed: real runs have an accuracy luck of 0.3 to 3.9 points, and ten checkpoints of one run
cannot show a luck of one point."""


def places(
    a: Curves, b: Curves, limits: Limits, contrasts: int = 1, *, resamples: int = RESAMPLES
) -> tuple[Place, ...]:
    """The pairs to compare, chosen on val.

    Args:
        a: val of RUN_A, trained checkpoints alone, complete.
        b: val of RUN_B, on the same examples.
        limits: margin and the nll that matters.
        contrasts: pairs of equal accuracy and different perplexity, at most.
        resamples: of the questions of val, for how sure the choice is; 0 where several seeds show it by themselves.
    """
    picked = _chosen(a, b, limits)
    last = (len(a.checkpoints) - 1, len(b.checkpoints) - 1)
    wanted: dict[tuple[int, int], tuple[str, ...]] = {}
    for kind, (i, j) in (("recommended", picked[0]), ("last", last), ("matched", picked[1])):
        wanted[i, j] = (*wanted.get((i, j), ()), kind)
    spread = _spread(a, b, limits, resamples) if resamples else {}
    fixed = tuple(Place(kinds, i, j, spread=spread.get(kinds[0])) for (i, j), kinds in wanted.items())
    return fixed + _contrasts(a, b, limits, contrasts)


def _spread(
    a: Curves, b: Curves, limits: Limits, resamples: int
) -> dict[str, tuple[Float[np.ndarray, " a"], Float[np.ndarray, " b"]]]:
    """How often each checkpoint of the two runs is chosen, by kind, over resampled questions."""
    often = [np.zeros((2, len(side.checkpoints))) for side in (a, b)]
    every = [range(len(side.checkpoints)) for side in (a, b)]
    for weights in statistics.bootstrap_weights(len(a.token_counts), resamples, "choice", clusters=a.groups):
        drawn = np.repeat(np.arange(len(weights)), weights.astype(np.int64))
        chosen = _chosen(_part(a, every[0], drawn), _part(b, every[1], drawn), limits)
        for kind, rows in enumerate(chosen):
            for side, row in zip(often, rows, strict=True):
                side[kind, row] += 1 / resamples
    return {kind: (often[0][k], often[1][k]) for k, kind in enumerate(("recommended", "matched"))}


def _chosen(a: Curves, b: Curves, limits: Limits) -> tuple[tuple[int, int], tuple[int, int]]:
    """The recommended checkpoint of each run, and the one of lowest nll at the accuracy that both reach."""
    boards = [selection_inputs(side) for side in (a, b)]
    level = [board.smoothed_accuracy for board in boards]
    reached = min(float(values.max()) for values in level)
    first, second = (SELECTION_RULES["overmem"](board, limits.absolute) for board in boards)
    left, right = (
        _lowest_nll(board.nll, values, reached, limits.margin) for board, values in zip(boards, level, strict=True)
    )
    return (first, second), (left, right)


def _lowest_nll(
    nll: Float[np.ndarray, " checkpoints"], accuracy: Float[np.ndarray, " checkpoints"], reached: float, margin: float
) -> int:
    """The checkpoint of lowest nll among those whose accuracy lies within half the margin of what both runs reach."""
    off = np.abs(accuracy - reached)
    near = off <= max(margin / 2, float(off.min()))
    return int(np.where(near, nll, np.inf).argmin())


def _contrasts(a: Curves, b: Curves, limits: Limits, most: int) -> tuple[Place, ...]:
    count = len(a.checkpoints)
    means, covariance = mean_and_covariance(np.concatenate([a.correct, b.correct]), a.groups)
    own = np.diag(covariance)
    variance = own[:count, None] + own[None, count:] - 2 * covariance[:count, count:]
    n = a.correct.shape[1]
    error = np.sqrt(np.maximum(variance, statistics.least_stderr(limits.margin, n) ** 2))
    inside = (limits.margin - np.abs(means[:count, None] - means[None, count:])) / error
    nll = [side.nll_sums.sum(1) / side.token_counts.sum() for side in (a, b)]
    gap = nll[1][None] - nll[0][:, None]
    inside[np.abs(gap) <= limits.absolute] = -np.inf
    sure = next((level for level in SURE if (inside >= level).any()), None)
    if sure is None:
        return ()
    order = np.argsort(np.where(inside >= sure, -np.abs(gap), np.inf), axis=None)
    rows = [np.unravel_index(int(k), gap.shape) for k in order[: min(most, int((inside >= sure).sum()))]]
    return tuple(Place(("contrast",), int(i), int(j), "a" if gap[i, j] >= 0 else "b") for i, j in rows)


def run_luck(val: Curves) -> RunLuck:
    """The luck of a run's checkpoints, from its curves on val (assumed, where they are few); no less than is usual."""
    levels, spread = log_ratio_and_covariance(val.nll_sums, val.token_counts.astype(np.float64), val.groups)
    means, covariance = mean_and_covariance(val.correct, val.groups)
    return RunLuck(
        max(luck(levels, spread, NLL_GRID, NLL_PRIOR).deviation, LEAST_LUCK.nll),
        max(luck(means, covariance, ACCURACY_GRID, ACCURACY_PRIOR).deviation, LEAST_LUCK.accuracy),
    )


def difference_of(
    place: Place, a: Curves, b: Curves, limits: Limits, lucks: tuple[RunLuck, RunLuck] = (NO_LUCK, NO_LUCK)
) -> Difference:
    """How the two checkpoints differ on test.

    Args:
        place: which two.
        a: test of RUN_A, on the same examples as RUN_B's.
        b: test of RUN_B.
        limits: margin and the nll that matters.
        lucks: of the two runs' checkpoints, priced into the standard errors.
    """
    tokens = a.token_counts.astype(np.float64)
    parts = np.stack(
        [
            b.correct[place.b] - a.correct[place.a],
            b.nll_sums[place.b] - a.nll_sums[place.a],
            np.ones(len(tokens)),
            tokens,
        ]
    )
    won, rise, rows, length = cluster_sums(parts, a.groups)
    sign = 1.0 if place.first == "a" else -1.0
    if "contrast" in place.kinds:
        lucks = (NO_LUCK, NO_LUCK)  # it is a claim about these two checkpoints, not about what such runs give
    n = len(rows)
    level_a, level_b = a.nll_sums[place.a].sum() / tokens.sum(), b.nll_sums[place.b].sum() / tokens.sum()
    lucky_nll = hypot(lucks[0].nll * level_a, lucks[1].nll * level_b, _choice_stderr(place, a, b))
    accuracy, nll = sign * float(won.sum() / rows.sum()), sign * float(rise.sum() / tokens.sum())
    accuracy_stderr = hypot(statistics.ratio_stderr(won, rows), lucks[0].accuracy, lucks[1].accuracy)
    nll_stderr = hypot(statistics.ratio_stderr(rise, length), lucky_nll)
    return Difference(
        _share_difference(accuracy, accuracy_stderr, n),
        statistics.student(nll, nll_stderr, n),
        p_beyond(accuracy, accuracy_stderr, 0.0, n),
        p_beyond(nll, nll_stderr, limits.absolute, n),
        p_within(accuracy, accuracy_stderr, limits.margin, n),
        sign * np.stack([_influence(won, rows), _influence(rise, length)]),
    )


def _influence(top: Float[np.ndarray, " n"], bottom: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Of each question on sum(top) / sum(bottom)."""
    return np.asarray((top - bottom * (top.sum() / bottom.sum())) / bottom.sum())


def _choice_stderr(place: Place, a: Curves, b: Curves) -> float:
    """Standard deviation of the difference in nll, in nats per token, over what would be chosen on other questions."""
    variance = 0.0
    for often, side in zip(place.spread or (), (a, b), strict=False):
        nll = side.nll_sums.sum(1) / side.token_counts.sum()
        variance += float(often @ (nll - often @ nll) ** 2)
    return float(np.sqrt(variance))


def _share_difference(value: float, stderr: float, n: int) -> Estimate:
    """A difference of accuracies with Student's interval, not empty where no answer differs."""
    half = max(statistics.quantile(0.975, n) * stderr, Z * Z / (n + Z * Z))
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half), n, stderr=stderr)


def p_beyond(value: float, stderr: float, limit: float, n: int) -> float:
    """Two-sided p that a true difference lies within `limit` of 0, by Student's t."""
    if not np.isfinite(stderr):
        return 1.0
    if stderr == 0:
        return float(abs(value) <= limit)
    freedom = max(n - 1, 1)
    tails = stdtr(freedom, -(abs(value) - limit) / stderr) + stdtr(freedom, -(abs(value) + limit) / stderr)
    return float(min(1.0, tails))


def p_within(value: float, stderr: float, margin: float, n: int) -> float:
    """P that two accuracies differ by the margin or more: the larger of two one-sided tests (TOST)."""
    return max(statistics.noninferior(v, stderr, margin, n) for v in (value, -value))


def complete(a: Curves, b: Curves, rows_a: Sequence[int], rows_b: Sequence[int]) -> tuple[Curves, Curves]:
    """Both runs' checkpoints of these rows, on the examples that all of them were measured on."""
    kept = np.ones(len(a.token_counts), dtype=bool)
    for side, rows in ((a, rows_a), (b, rows_b)):
        kept &= np.isfinite(side.nll_sums[list(rows)]).all(0) & np.isfinite(side.correct[list(rows)]).all(0)
    return tuple(_part(side, rows, np.flatnonzero(kept)) for side, rows in ((a, rows_a), (b, rows_b)))  # type: ignore[return-value]


def _part(side: Curves, rows: Sequence[int], kept: Int[np.ndarray, " kept"]) -> Curves:
    cells = np.ix_(np.array(rows, dtype=np.int64), kept)
    return Curves(
        tuple(side.checkpoints[i] for i in rows),
        side.nll_sums[cells],
        side.token_counts[kept],
        side.correct[cells],
        groups=side.groups_of(kept),
    )
