"""Which of a search's finalists wins on val, and whether test shows it to be better than a single checkpoint. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from overmem import statistics
from overmem.records import Estimate, Limits
from overmem.records.searches import MergeConfirmation, MergeCost
from overmem.verdict.clusters import Groups, cluster_sums
from overmem.verdict.merges import GIVES_UP

DEFAULT = Limits()


def winner(
    correct: Float[np.ndarray, "finalists examples"],
    nll: Float[np.ndarray, " finalists"],
    single: Float[np.ndarray, " examples"] | None = None,
    limits: Limits = DEFAULT,
) -> int | None:
    """Of the finalists within a standard error of the most accurate one, that of the lowest nll.

    None if no finalist is as accurate as the single checkpoint, less a third of the margin: then no merge is worth a
    test.

    Args:
        correct: 0 or 1 for every question.
        nll: of each finalist.
        single: answers of the best single checkpoint to the same questions.
        limits: margin.
    """
    accuracy = correct.mean(1)
    best = int(accuracy.argmax())
    n = correct.shape[1]
    errors = (correct[best] - correct).std(1, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(len(correct))
    close = accuracy[best] - accuracy <= errors
    if single is not None:
        close &= accuracy > single.mean() - limits.margin * GIVES_UP
    return int(np.where(close, nll, np.inf).argmin()) if close.any() else None


@dataclass(frozen=True)
class Pairs:
    """Shares of right answers of the winner (first row) and a single checkpoint on the same questions of one split."""

    name: str
    values: Float[np.ndarray, "2 examples"]
    groups: Groups = None

    @property
    def difference(self) -> tuple[Estimate, float]:
        """Winner minus single checkpoint, and the one-sided p of no difference or a negative one."""
        change, rows = cluster_sums(
            np.stack([self.values[0] - self.values[1], np.ones(self.values.shape[1])]), self.groups
        )
        n = len(rows)
        if n < 2:
            return Estimate(None, note="fewer than two questions"), 1.0
        value, stderr = float(change.sum() / rows.sum()), statistics.ratio_stderr(change, rows)
        shown = replace(statistics.share_difference(value, stderr, n), note="paired by question")
        return shown, statistics.tail(value, 0.0, stderr, n)


def confirmed(
    correct: Float[np.ndarray, "2 examples"],
    nll_sums: Float[np.ndarray, "2 examples"],
    tokens: Float[np.ndarray, " examples"],
    groups: Groups = None,
    *,
    costs: Sequence[Pairs] = (),
    winners: int = 1,
    limits: Limits = DEFAULT,
) -> MergeConfirmation:
    """The winner (first row) against a single checkpoint (second row), paired by question.

    The winner and the checkpoint were chosen on other questions, so only the claims (more accurate; as accurate at a
    lower nll; as accurate with less of each cost) and the winners of earlier searches on the same questions are
    corrected for. As accurate: shown to lose less than a third of the margin.

    Args:
        correct: 0 or 1 for every question.
        nll_sums: summed nll of every solution.
        tokens: tokens of every solution.
        groups: question of each example, if some are rephrasings of the same.
        costs: the right answers that a cost is measured by.
        winners: merges that were confirmed on these questions so far, this one included.
        limits: margin and error rate.
    """
    changes = np.stack([correct[0] - correct[1], nll_sums[0] - nll_sums[1], np.ones(len(tokens)), tokens])
    won, rise, rows, per_cluster = cluster_sums(changes, groups)
    n = len(rows)
    if n < 2:
        missing = Estimate(None, note="fewer than two test questions")
        return MergeConfirmation(missing, missing, 1.0, 1.0, winners)
    accuracy, nll = float(won.sum() / rows.sum()), float(rise.sum() / per_cluster.sum())
    stderr, nll_stderr = statistics.ratio_stderr(won, rows), statistics.ratio_stderr(rise, per_cluster)
    more = statistics.tail(accuracy, 0.0, stderr, n)
    kept = statistics.noninferior(accuracy, stderr, limits.margin * GIVES_UP, n)
    less = [statistics.tail(-nll, 0.0, nll_stderr, n), *(cost.difference[1] for cost in costs)]
    holm = statistics.holm([more, *(max(kept, p) for p in less)])
    corrected = [min(1.0, winners * (1.0 if p is None else p)) for p in holm]
    shown = statistics.share_difference(accuracy, stderr, n)
    return MergeConfirmation(
        replace(shown, note="paired by question"),
        statistics.student(nll, nll_stderr, n, "paired by question"),
        corrected[0],
        corrected[1],
        winners,
        tuple(MergeCost(c.name, c.difference[0], p) for c, p in zip(costs, corrected[2:], strict=True)),
    )


def barrier(
    line_nll_sums: Float[np.ndarray, "points examples"],
    shares: Float[np.ndarray, " points"],
    tokens: Float[np.ndarray, " examples"],
    groups: Groups = None,
) -> Estimate:
    """The largest nll above the straight line between the ends of a path, in nats per token, with its interval there.

    Args:
        line_nll_sums: summed nll of every solution, the two ends first and last.
        shares: weight of the last checkpoint at each point.
        tokens: tokens of every solution.
        groups: question of each example, if some are rephrasings of the same.
    """
    if len(shares) < 3:
        return Estimate(None, note="no point between the ends was observed")
    straight = np.outer(1 - shares, line_nll_sums[0]) + np.outer(shares, line_nll_sums[-1])
    return _highest(line_nll_sums[1:-1] - straight[1:-1], tokens, groups)


def above_ends(
    line_nll_sums: Float[np.ndarray, "points examples"], tokens: Float[np.ndarray, " examples"], groups: Groups = None
) -> Estimate:
    """The nll of the highest point between the ends of a path above that of the worse end, in nats per token.

    Args:
        line_nll_sums: summed nll of every solution, the two ends first and last.
        tokens: tokens of every solution.
        groups: question of each example, if some are rephrasings of the same.
    """
    if len(line_nll_sums) < 3:
        return Estimate(None, note="no point between the ends was observed")
    worse = line_nll_sums[0] if line_nll_sums[0].sum() > line_nll_sums[-1].sum() else line_nll_sums[-1]
    return _highest(line_nll_sums[1:-1] - worse, tokens, groups)


def _highest(
    above: Float[np.ndarray, "points examples"], tokens: Float[np.ndarray, " examples"], groups: Groups
) -> Estimate:
    top, bottom = cluster_sums(np.stack([above[int(above.sum(1).argmax())], tokens]), groups)
    return statistics.ratio(top, bottom)
