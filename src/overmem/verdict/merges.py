"""Whether a merge that was audited takes the recommended checkpoint's place. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from overmem import statistics
from overmem.records import Choice, Curves, Limits
from overmem.verdict.candidates import undominated
from overmem.verdict.clusters import cluster_sums
from overmem.verdict.selection import choice_of, confirmation, promote

DEFAULT = Limits()

GIVES_UP = 1 / 3
"""Share of the margin that a merge of lower perplexity may lose in accuracy: one point, of the usual three."""


def best_merge(
    val: Curves,
    test: Curves | None,
    recommended: Choice,
    others: tuple[Choice, ...],
    on_disk: Collection[str] | None = None,
    limits: Limits = DEFAULT,
    searched: Collection[str] = (),
    confirmed: Mapping[str, str] | None = None,
) -> tuple[Choice, tuple[Choice, ...]]:
    """The best merge on `val`, scored on `test`: recommended where it is better, else one more of the others.

    Better: shown to be more accurate, or shown to lose less than a third of the margin and to have a lower nll; Holm's
    correction is over both questions about every merge that was measured, on disk or not. And no other checkpoint or
    merge may beat it in both accuracy and nll.

    Args:
        val: curves of val, merges among them.
        test: the same of test.
        recommended: the checkpoint to ship so far.
        others: what the other rules pick.
        on_disk: names of what may be recommended; None: all.
        limits: margin and error rate.
        searched: names of merges that a search chose on `val`; they are compared on `test` instead.
        confirmed: merge that a search has shown to be better on `test`, by its accuracy or by less of a cost -> the
            single checkpoint that it is better than.
    """
    shipped = [c.name for c in val.checkpoints].index(recommended.checkpoint or "")
    tried = [
        _compared(val, i, shipped, limits.margin * GIVES_UP)
        for i, checkpoint in enumerate(val.checkpoints)
        if checkpoint.merged_from and _shared(val, i, shipped).sum() > 1
    ]
    tried = [
        _on_test(merge, val, test, shipped, limits) if val.checkpoints[merge.row].name in searched else merge
        for merge in tried
    ]
    adjusted = statistics.holm(
        [p for merge in tried for p in (merge.p_more_accurate, merge.p_as_accurate_and_likelier)]
    )
    better = {
        merge.row: min(p for p in adjusted[2 * k : 2 * k + 2] if p is not None) < limits.alpha
        for k, merge in enumerate(tried)
    }
    for merge in tried:
        name = val.checkpoints[merge.row].name
        better[merge.row] |= (confirmed or {}).get(name) == recommended.checkpoint
    here = [m for m in tried if on_disk is None or val.checkpoints[m.row].name in on_disk]
    if not here:
        return recommended, others
    front = _undominated(val, on_disk)
    winner = max(here, key=lambda m: (better[m.row] and bool(front[m.row]), m.accuracy, -m.nll))
    best = val.checkpoints[winner.row]
    if better[winner.row] and front[winner.row]:
        return promote(val, test, "merge", best.name, recommended, others)
    scored, measured_on = confirmation(val, test)
    rows = {c.name: i for i, c in enumerate(scored.checkpoints)}
    choice = choice_of("merge", best, scored, rows, rows.get(recommended.checkpoint or ""), measured_on)
    return recommended, (*others, replace(choice, reason="the best merge on val, not shown to be better"))


@dataclass(frozen=True)
class _Compared:
    """A merge against the recommended checkpoint, on the same questions."""

    row: int
    accuracy: float
    """Of the merge minus that of the recommended checkpoint."""
    nll: float
    """Likewise, in nats per token."""
    p_more_accurate: float
    p_as_accurate_and_likelier: float
    """The larger of two one-sided p: that it loses the allowed accuracy or more, and that its nll is no lower."""


def _on_test(merge: _Compared, val: Curves, test: Curves | None, shipped: int, limits: Limits) -> _Compared:
    """A merge that was chosen on val, compared on test; never shown to be better where test did not measure both."""
    rows = {} if test is None else {c.name: i for i, c in enumerate(test.checkpoints)}
    here, single = (rows.get(val.checkpoints[row].name) for row in (merge.row, shipped))
    if test is None or here is None or single is None or _shared(test, here, single).sum() < 2:
        return replace(merge, p_more_accurate=1.0, p_as_accurate_and_likelier=1.0)
    return replace(_compared(test, here, single, limits.margin * GIVES_UP), row=merge.row)


def _compared(val: Curves, merge: int, shipped: int, allowed: float) -> _Compared:
    both = _shared(val, merge, shipped)
    groups = val.groups_of(both)
    changes = np.stack(
        [
            val.correct[merge, both] - val.correct[shipped, both],
            val.nll_sums[merge, both] - val.nll_sums[shipped, both],
            np.ones(int(both.sum())),
            val.token_counts[both].astype(np.float64),
        ]
    )
    won, rise, rows, tokens = cluster_sums(changes, groups)
    n = len(rows)
    accuracy, nll = float(won.sum() / rows.sum()), float(rise.sum() / tokens.sum())
    accuracy_stderr, nll_stderr = statistics.ratio_stderr(won, rows), statistics.ratio_stderr(rise, tokens)
    return _Compared(
        merge,
        accuracy,
        nll,
        statistics.tail(accuracy, 0.0, accuracy_stderr, n),
        max(
            statistics.noninferior(accuracy, accuracy_stderr, allowed, n, step=_step(val)),
            statistics.tail(-nll, 0.0, nll_stderr, n),
        ),
    )


def _step(val: Curves) -> float:
    """The smallest difference of accuracy that one example shows: 1 for greedy answers, 1/k for means over draws."""
    seen = np.unique(val.correct[np.isfinite(val.correct)])
    return float(np.diff(seen).min()) if len(seen) > 1 else 1.0


def _shared(val: Curves, left: int, right: int) -> np.ndarray:
    """The examples on which both checkpoints were measured."""
    rows = [left, right]
    return np.asarray(np.isfinite(val.nll_sums[rows]).all(0) & np.isfinite(val.correct[rows]).all(0))


def _undominated(val: Curves, on_disk: Collection[str] | None) -> np.ndarray:
    """Which of the candidates no other one beats in both accuracy and nll; false for what is no candidate."""
    measured = np.isfinite(val.correct).any(1) & np.isfinite(val.nll_sums).any(1)
    candidate = np.array(
        [(c.step > 0 or bool(c.merged_from)) and (on_disk is None or c.name in on_disk) for c in val.checkpoints]
    )
    rows = np.flatnonzero(measured & candidate)
    shared = np.isfinite(val.nll_sums[rows]).all(0) & np.isfinite(val.correct[rows]).all(0)
    front = np.zeros(len(val.checkpoints), dtype=bool)
    if shared.any():
        nll = val.nll_sums[np.ix_(rows, shared)].sum(1) / val.token_counts[shared].sum()
        front[rows] = undominated(nll, val.correct[np.ix_(rows, shared)].mean(1))
    return front
