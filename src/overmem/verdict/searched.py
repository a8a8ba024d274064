"""Which of a search's finalists wins on val, and whether test shows it to be better than a single checkpoint. Pure."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from overmem import statistics
from overmem.records import Estimate, Limits
from overmem.records.searches import MergeConfirmation
from overmem.verdict.clusters import Groups, cluster_sums
from overmem.verdict.merges import GIVES_UP

DEFAULT = Limits()


def winner(correct: Float[np.ndarray, "finalists examples"], nll: Float[np.ndarray, " finalists"]) -> int:
    """Of the finalists within a standard error of the most accurate one, that of the lowest nll."""
    accuracy = correct.mean(1)
    best = int(accuracy.argmax())
    n = correct.shape[1]
    errors = (correct[best] - correct).std(1, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(len(correct))
    return int(np.where(accuracy[best] - accuracy <= errors, nll, np.inf).argmin())


def confirmed(
    correct: Float[np.ndarray, "2 examples"],
    nll_sums: Float[np.ndarray, "2 examples"],
    tokens: Float[np.ndarray, " examples"],
    groups: Groups = None,
    *,
    winners: int = 1,
    limits: Limits = DEFAULT,
) -> MergeConfirmation:
    """The winner (first row) against a single checkpoint (second row), paired by question.

    The winner and the checkpoint were chosen on other questions, so only the two claims (more accurate; as accurate at
    a lower nll) and the winners of earlier searches on the same questions are corrected for.

    Args:
        correct: 0 or 1 for every question.
        nll_sums: summed nll of every solution.
        tokens: tokens of every solution.
        groups: question of each example, if some are rephrasings of the same.
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
    lower = statistics.tail(-nll, 0.0, nll_stderr, n)
    corrected = [min(1.0, winners * (p or 0.0)) for p in statistics.holm([more, max(kept, lower)])]
    shown = statistics.share_difference(accuracy, stderr, n)
    return MergeConfirmation(
        replace(shown, note="paired by question"),
        statistics.student(nll, nll_stderr, n, "paired by question"),
        corrected[0],
        corrected[1],
        winners,
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
    above = line_nll_sums[1:-1] - straight[1:-1]
    highest = int(above.sum(1).argmax())
    top, bottom = cluster_sums(np.stack([above[highest], tokens]), groups)
    return statistics.ratio(top, bottom)
