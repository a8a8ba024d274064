"""Which checkpoint to ship: chosen on validation data, priced on test data. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from math import sqrt

import numpy as np
from jaxtyping import Float

from overmem import stats
from overmem.records import Checkpoint, CheckpointVerdict, Choice, Curves, Estimate

REASONS = {
    "overmem": "the lowest perplexity among the checkpoints whose accuracy is as good as the best, noise aside",
    "merge": "a merge that was audited and is better on val than every single checkpoint",
    "paper": "the highest accuracy within the perplexity bound",
    "one-se": "the earliest within one standard error of the highest accuracy",
    "min-nll": "the lowest perplexity",
    "max-accuracy": "the highest accuracy",
    "last": "the last one",
}
"""Every selection rule, in words. `overmem` is the one that is recommended."""

Picker = Callable[[Curves, Sequence[int], float], int]


def choices(
    val: Curves,
    test: Curves | None,
    verdicts: Sequence[CheckpointVerdict] = (),
    *,
    d_nll: float = 0.05,
    on_disk: Collection[str] | None = None,
) -> tuple[Choice | None, tuple[Choice, ...]]:
    """The recommended choice, and what every other rule picks; each chosen on `val` and scored on `test`.

    Only trained checkpoints are candidates, and of these only the ones named in `on_disk` (None: all). Without `test`
    the accuracies are those of `val`, marked as flattering. The recommendation is None where nothing can be chosen.
    """
    judged = {v.checkpoint.name for v in verdicts if v.nll.value is not None and v.accuracy.value is not None}
    candidates = [
        i
        for i, c in enumerate(val.checkpoints)
        if c.step > 0
        and not c.merged_from
        and (on_disk is None or c.name in on_disk)
        and (not verdicts or c.name in judged)
        and np.isfinite(val.nll_sums[i]).any()
        and np.isfinite(val.correct[i]).any()
    ]
    if not candidates:
        return None, ()
    val = _complete(val, candidates)
    if not val.nll_sums.shape[1]:
        return None, ()
    places = range(len(candidates))
    picked = {rule: PICKERS[rule](val, places, d_nll) for rule in PICKERS}
    scored, note = (test, "") if test is not None else (val, "on val, where it was chosen: flattering")
    where = {c.name: i for i, c in enumerate(scored.checkpoints)}
    recommended = val.checkpoints[picked["overmem"]].name
    made = {
        rule: _choice(rule, val.checkpoints[i], scored, where, where.get(recommended), note)
        for rule, i in picked.items()
    }
    return made["overmem"], tuple(choice for rule, choice in made.items() if rule != "overmem")


def _complete(curves: Curves, rows: Sequence[int]) -> Curves:
    """The candidates alone, on the examples that all of them were measured on."""
    nll, correct = curves.nll_sums[list(rows)], curves.correct[list(rows)]
    kept = np.isfinite(nll).all(0) & np.isfinite(correct).all(0)
    checkpoints = tuple(curves.checkpoints[i] for i in rows)
    return Curves(checkpoints, nll[:, kept], curves.token_counts[kept], correct[:, kept])


def _nll(curves: Curves) -> Float[np.ndarray, " checkpoints"]:
    return np.asarray(curves.nll_sums.sum(1) / max(int(curves.token_counts.sum()), 1))


def _paired_stderr(curves: Curves, best: int) -> Float[np.ndarray, " checkpoints"]:
    """Standard error of each checkpoint's accuracy difference from the best."""
    n = curves.correct.shape[1]
    return np.asarray(np.sqrt(np.maximum((curves.correct - curves.correct[best]).var(1), 1 / n) / n))


def _overmem(curves: Curves, places: Sequence[int], d_nll: float) -> int:
    """Smooth the accuracies over time, then take the lowest perplexity among those level with the best."""
    level = smoothed(curves)
    best = int(level.argmax())
    near = level >= level[best] - 0.5 * np.median(_paired_stderr(curves, best))
    return int(np.where(near, _nll(curves), np.inf).argmin())


def smoothed(curves: Curves) -> Float[np.ndarray, " checkpoints"]:
    """Accuracies, each drawn towards its neighbours as far as noise can explain the difference."""
    means = curves.correct.mean(1)
    count, n = curves.correct.shape
    if count < 3:
        return np.asarray(means)
    result = np.empty(count)
    for i in range(count):
        error = np.sqrt(np.maximum((curves.correct - curves.correct[i]).var(1), 1 / n) / n)
        distance = np.abs(np.arange(count) - i)
        alike = np.exp(-0.5 * ((means - means[i]) / (error + 1e-12)) ** 2)
        weights = alike * np.exp(-distance / 2.0)
        result[i] = weights @ means / weights.sum()
    return result


def _paper(curves: Curves, places: Sequence[int], d_nll: float) -> int:
    nll, accuracy = _nll(curves), curves.correct.mean(1)
    inside = nll <= nll.min() + d_nll
    return int(np.where(inside, accuracy, -np.inf).argmax())


def _one_se(curves: Curves, places: Sequence[int], d_nll: float) -> int:
    accuracy = curves.correct.mean(1)
    best = int(accuracy.argmax())
    error = sqrt(max(float(accuracy[best] * (1 - accuracy[best])), 0.0) / curves.correct.shape[1])
    return int((accuracy >= accuracy[best] - error).argmax())


PICKERS: Mapping[str, Picker] = {
    "overmem": _overmem,
    "paper": _paper,
    "one-se": _one_se,
    "min-nll": lambda curves, places, d_nll: int(_nll(curves).argmin()),
    "max-accuracy": lambda curves, places, d_nll: int(curves.correct.mean(1).argmax()),
    "last": lambda curves, places, d_nll: places[-1],
}


def _choice(
    rule: str, picked: Checkpoint, scored: Curves, where: Mapping[str, int], recommended: int | None, note: str
) -> Choice:
    i = where.get(picked.name)
    if i is None:
        missing = Estimate(None, note="not measured on test")
        return Choice(rule, picked.name, missing, missing, missing, REASONS[rule])
    known = np.isfinite(scored.correct[i])
    scored_nll = np.isfinite(scored.nll_sums[i])
    accuracy = stats.share(float(scored.correct[i, known].sum()), int(known.sum()))
    nll = stats.ratio(scored.nll_sums[i, scored_nll], scored.token_counts[scored_nll].astype(np.float64))
    regret = Estimate(None, note="the recommended checkpoint was not measured on test")
    if recommended is not None:
        regret = difference(scored, recommended, i)
    return Choice(rule, picked.name, _noted(accuracy, note), _noted(nll, note), _noted(regret, note), REASONS[rule])


def _noted(estimate: Estimate, note: str) -> Estimate:
    if not note:
        return estimate
    return Estimate(estimate.value, estimate.low, estimate.high, estimate.n, note)


def difference(curves: Curves, left: int, right: int) -> Estimate:
    """Accuracy of one checkpoint minus that of another on the same examples, with its interval."""
    both = np.isfinite(curves.correct[left]) & np.isfinite(curves.correct[right])
    a, b = curves.correct[left, both], curves.correct[right, both]
    if np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all():
        return stats.paired_shares(a == 1, b == 1)
    return stats.mean(a - b)


def prunable(verdicts: Sequence[CheckpointVerdict], recommended: str | None, names: Sequence[str]) -> tuple[str, ...]:
    """Which of the checkpoints `names` (in time order) may be deleted.

    Never the recommended one, its neighbours or the last. Without a recommendation, none.
    """
    if recommended is None or recommended not in names:
        return ()
    at = list(names).index(recommended)
    kept = {at - 1, at, at + 1, len(names) - 1}
    judged = {v.checkpoint.name for v in verdicts}
    return tuple(name for i, name in enumerate(names) if i not in kept and name in judged)


def best_merge(
    val: Curves, test: Curves | None, recommended: Choice, others: tuple[Choice, ...]
) -> tuple[Choice, tuple[Choice, ...]]:
    """The merge that is better on `val` than the recommended checkpoint, scored on `test`; else all as it was.

    Better: more accurate, or as accurate with a lower nll, either shown by a paired 95% interval.
    """
    place = {c.name: i for i, c in enumerate(val.checkpoints)}
    held = place[recommended.checkpoint or ""]
    better: list[tuple[float, float, int]] = []
    for i, checkpoint in enumerate(val.checkpoints):
        if not checkpoint.merged_from or not np.isfinite(val.correct[i]).any():
            continue
        accuracy = difference(val, i, held)
        both = np.isfinite(val.nll_sums[i]) & np.isfinite(val.nll_sums[held])
        nll = stats.ratio(val.nll_sums[i, both] - val.nll_sums[held, both], val.token_counts[both].astype(np.float64))
        if accuracy.value is None or accuracy.low is None or nll.value is None or nll.high is None:
            continue
        if accuracy.low > 0 or (accuracy.value >= 0 and nll.high < 0):
            better.append((accuracy.value, -nll.value, i))
    if not better:
        return recommended, others
    best = max(better)[2]
    scored, note = (test, "") if test is not None else (val, "on val, where it was chosen: flattering")
    where = {c.name: i for i, c in enumerate(scored.checkpoints)}
    names = [("merge", val.checkpoints[best].name), *((c.rule, c.checkpoint or "") for c in (recommended, *others))]
    made = [
        _choice(rule, val.checkpoints[place[name]], scored, where, where.get(names[0][1]), note) for rule, name in names
    ]
    return made[0], tuple(made[1:])
