"""The decision rule: from the quantities of a run to a regime for each of its checkpoints."""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite, sqrt
from typing import Any

import numpy as np

from overmem import statistics
from overmem.records import Checkpoint, CheckpointTests, CheckpointVerdict, Estimate, Limits
from overmem.verdict.quantities import Quantities

STRICTER = 0.3
"""Accuracy is called kept at this share of alpha: the plateau it is compared with was learned from the same run, and
lies a little below the best checkpoint. docs/results/verdict.md shows what a loss of just the margin then risks."""


def named(tests: CheckpointTests) -> str:
    """The regime that follows from the tests; `undecided` where none does."""
    if not (tests.measured_nll and tests.measured_accuracy and tests.solvable):
        return "undecided"
    if tests.kept:
        if tests.costly:
            return "over-memorized"
        if tests.cheap:
            return "healthy"
        return "under-trained" if tests.before_minimum else "undecided"
    if tests.lower and tests.before_best:
        return "under-trained"
    return "over-fitted" if tests.lower and tests.costly else "undecided"


def judge(q: Quantities, checkpoints: Sequence[Checkpoint], limits: Limits) -> tuple[CheckpointVerdict, ...]:
    """One verdict for each checkpoint, in the same order."""
    count, d_nll = len(checkpoints), limits.d_nll
    after = [q.minimum is not None and i > q.minimum for i in range(count)]
    costly = _each(count, lambda i: _tail(q.excess[i], d_nll, q.excess_stderr[i], q.n_nll) if after[i] else None)
    cheap = _each(count, lambda i: _tail(-q.excess[i], -d_nll, q.excess_stderr[i], q.n_nll))
    kept = _each(count, lambda i: _kept(q, i, limits.margin))
    lower = _each(count, lambda i: _tail(-q.gap[i], 0.0, _gap_stderr(q, i), q.n_accuracy))
    p_costly, p_lower = statistics.holm(costly), statistics.holm(lower)
    verdicts = []
    for i, checkpoint in enumerate(checkpoints):
        tests = CheckpointTests(
            measured_nll=isfinite(q.excess[i]),
            measured_accuracy=isfinite(q.gap[i]),
            costly=_below(p_costly[i], limits.alpha),
            cheap=_below(cheap[i], limits.alpha) or i == q.minimum,
            kept=_below(kept[i], limits.alpha),
            lower=_below(p_lower[i], limits.alpha),
            before_best=bool(q.plateau[i + 1 :].sum() > q.plateau[:i].sum()),
            before_minimum=q.minimum is not None and i < q.minimum,
            solvable=bool(q.reference > limits.margin) and _solvable(q, limits.margin),
            reference_accuracy=_number(q.accuracy[i] - q.gap[i]),
            worst_gap=_worst(q, i, limits) if isfinite(q.gap[i]) else None,
            note=q.notes[i],
        )
        tests = _with_examples_needed(tests, q, i, limits)
        verdicts.append(
            CheckpointVerdict(
                checkpoint,
                named(tests),
                nll=_estimate(q.nll[i], q.nll_stderr[i], q.n_nll),
                accuracy=_accuracy(q, i),
                excess=_estimate(q.excess[i], q.excess_stderr[i], q.n_nll),
                accuracy_gap=_gap(q, i),
                p_costly=p_costly[i],
                p_kept=kept[i],
                tests=tests,
            )
        )
    return tuple(verdicts)


def _each(count: int, value: Any) -> list[float | None]:
    return [None if (p := value(i)) is None or not isfinite(p) else float(p) for i in range(count)]


def _below(p: float | None, alpha: float) -> bool:
    return p is not None and p < alpha


def _tail(value: Any, threshold: float, stderr: Any, n: int) -> float | None:
    return statistics.tail(float(value), threshold, float(stderr), n or 1000) if isfinite(value) else None


def _kept(q: Quantities, i: int, margin: float) -> float | None:
    """One-sided p, adjusted so that it may be held against alpha itself."""
    if not isfinite(q.gap[i]):
        return None
    if not q.n_accuracy:
        p = _tail(q.gap[i], -margin, q.gap_stderr[i], 0)
        return None if p is None else min(1.0, p / STRICTER)
    p = statistics.noninferior(q.gap[i], q.gap_stderr[i], margin, q.n_accuracy, step=q.step)
    return min(1.0, p / STRICTER)


def _worst(q: Quantities, i: int, limits: Limits) -> float:
    """The lower bound of the gap, at the level of the test: `kept` is where it lies above -margin."""
    stderr = float(q.gap_stderr[i])
    if q.n_accuracy:
        stderr = max(stderr, statistics.least_stderr(limits.margin, q.n_accuracy, q.step))
    return float(q.gap[i]) - statistics.quantile(1 - limits.alpha * STRICTER, q.n_accuracy or 1000) * stderr


def _gap_stderr(q: Quantities, i: int) -> float:
    return max(q.gap_stderr[i], 1 / q.n_accuracy) if q.n_accuracy else float(q.gap_stderr[i])


def _solvable(q: Quantities, margin: float) -> bool:
    """Whether the plateau's accuracy is shown to exceed the margin."""
    if not q.n_accuracy:
        return True
    return statistics.wilson(q.reference * q.n_accuracy, q.n_accuracy)[0] > margin / 2


def _estimate(value: float, stderr: float, n: int) -> Estimate:
    if not isfinite(value):
        return Estimate(None, n=n, note="not measured")
    if not isfinite(stderr):
        return Estimate(float(value), n=n, note="no interval: too few examples or points")
    return statistics.student(float(value), float(stderr), n or 1000) if n else _band(float(value), float(stderr))


def _band(value: float, stderr: float) -> Estimate:
    half = statistics.Z * stderr
    return Estimate(value, value - half, value + half, 0, "interval from the scatter of the curve")


def _accuracy(q: Quantities, i: int) -> Estimate:
    if not isfinite(q.accuracy[i]):
        return Estimate(None, n=q.n_accuracy, note="not measured")
    if q.n_accuracy:
        return statistics.share(float(q.accuracy[i]) * q.n_accuracy, q.n_accuracy)
    return Estimate(float(q.accuracy[i]), note="n unknown: no interval")


def _gap(q: Quantities, i: int) -> Estimate:
    if q.n_accuracy and isfinite(q.gap[i]) and isfinite(q.gap_stderr[i]):
        return statistics.share_difference(float(q.gap[i]), float(q.gap_stderr[i]), q.n_accuracy)
    return _estimate(q.gap[i], q.gap_stderr[i], q.n_accuracy)


def _with_examples_needed(tests: CheckpointTests, q: Quantities, i: int, limits: Limits) -> CheckpointTests:
    """The tests with the loss of accuracy that they can detect, and what would decide what is open."""
    level, detectable, for_accuracy, for_nll = limits.alpha * STRICTER, None, None, None
    if q.n_accuracy and isfinite(q.gap_stderr[i]):
        least = sqrt(max(limits.margin * q.step - limits.margin**2, 0.0))
        deviation = max(q.gap_stderr[i] * sqrt(q.n_accuracy), least)
        detectable = float(statistics.detectable(deviation, q.n_accuracy, alpha=level))
        if tests.accuracy_is_open:
            ways = (
                statistics.examples_needed(deviation, limits.margin + q.gap[i], alpha=level),
                statistics.examples_needed(deviation, -q.gap[i], alpha=limits.alpha),
            )
            for_accuracy = _more(ways, q.n_accuracy)
    if q.n_nll and isfinite(q.excess_stderr[i]) and tests.nll_is_open:
        deviation = q.excess_stderr[i] * sqrt(q.n_nll)
        way = statistics.examples_needed(deviation, abs(float(q.excess[i]) - limits.d_nll), alpha=limits.alpha)
        for_nll = _more([way], q.n_nll)
    return replace(tests, detectable_gap=detectable, examples_for_accuracy=for_accuracy, examples_for_nll=for_nll)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _more(ways: Sequence[int | None], n: int) -> int | None:
    """The smallest number of examples that would do, above the n that did not; None where none would."""
    possible = [w for w in ways if w is not None]
    return max(min(possible), n + n // 10 + 1) if possible else None
