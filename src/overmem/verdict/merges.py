"""Whether a merge that was audited takes the recommended checkpoint's place. Pure."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from overmem import statistics
from overmem.records import Choice, Curves, Estimate
from overmem.verdict.candidates import undominated
from overmem.verdict.selection import confirmation, difference, priced, promote


def best_merge(
    val: Curves,
    test: Curves | None,
    recommended: Choice,
    others: tuple[Choice, ...],
    on_disk: Collection[str] | None = None,
) -> tuple[Choice, tuple[Choice, ...]]:
    """The best merge on `val`, scored on `test`: recommended where it is better, else one more of the others.

    Better: more accurate, or as accurate with a lower nll, either shown by a paired 95% interval, and not beaten by
    another checkpoint or merge in both accuracy and nll.
    """
    shipped = [c.name for c in val.checkpoints].index(recommended.checkpoint or "")
    front = _undominated(val, on_disk)
    merges: list[tuple[bool, float, float, int]] = []
    for i, checkpoint in enumerate(val.checkpoints):
        gone = on_disk is not None and checkpoint.name not in on_disk
        if not checkpoint.merged_from or gone or not np.isfinite(val.correct[i]).any():
            continue
        accuracy, nll = difference(val, i, shipped), _nll_difference(val, i, shipped)
        if accuracy.value is None or accuracy.low is None or nll.value is None or nll.high is None:
            continue
        better = accuracy.low > 0 or (accuracy.value >= 0 and nll.high < 0)
        merges.append((better and bool(front[i]), accuracy.value, -nll.value, i))
    if not merges:
        return recommended, others
    better, _, _, i = max(merges)
    best = val.checkpoints[i]
    if better:
        return promote(val, test, "merge", best.name, recommended, others)
    scored, measured_on = confirmation(val, test)
    rows = {c.name: i for i, c in enumerate(scored.checkpoints)}
    merge = priced("merge", best, scored, rows, rows.get(recommended.checkpoint or ""), measured_on)
    return recommended, (*others, replace(merge, reason="the best merge on val, not shown to be better"))


def _nll_difference(val: Curves, left: int, right: int) -> Estimate:
    both = np.isfinite(val.nll_sums[left]) & np.isfinite(val.nll_sums[right])
    rise = val.nll_sums[left, both] - val.nll_sums[right, both]
    return statistics.ratio(rise, val.token_counts[both].astype(np.float64))


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
