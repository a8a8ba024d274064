"""The decision rule: from the quantities of a run to a regime for each of its checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

import numpy as np

from overmem import statistics
from overmem.records import Checkpoint, CheckpointVerdict, Estimate
from overmem.verdict.quantities import Quantities
from overmem.wording.reasons import reason

STRICTER = 0.3
"""Accuracy is called kept at this share of alpha: the plateau it is compared with was learned from the same run, and
lies a little below the best checkpoint. docs/results/verdict.md shows what a loss of just the margin then risks."""


@dataclass(frozen=True)
class CheckpointTests:
    """What is known of one checkpoint, before it has a name."""

    costly: bool
    """Perplexity is above the minimum by more than d_nll, and later than it."""
    cheap: bool
    """Perplexity is shown to be within d_nll of the minimum."""
    kept: bool
    """Accuracy is shown to be within the margin of the plateau."""
    lower: bool
    """Accuracy is shown to be below the plateau."""
    before_best: bool
    """Most of the plateau comes later."""
    before_minimum: bool
    measured_nll: bool
    measured_accuracy: bool
    solvable: bool
    """The plateau is above the margin: there is an accuracy to keep."""

    @property
    def regime(self) -> str:
        """The name that these facts earn; `undecided` where they earn none."""
        if not (self.measured_nll and self.measured_accuracy and self.solvable):
            return "undecided"
        if self.kept:
            if self.costly:
                return "over-memorized"
            if self.cheap:
                return "healthy"
            return "under-trained" if self.before_minimum else "undecided"
        if self.lower and self.before_best:
            return "under-trained"
        return "over-fitted" if self.lower and self.costly else "undecided"


def judge(
    q: Quantities, checkpoints: Sequence[Checkpoint], *, d_nll: float, margin: float, alpha: float
) -> tuple[CheckpointVerdict, ...]:
    """One verdict a checkpoint, in the order given."""
    count = len(checkpoints)
    after = [q.minimum is not None and i > q.minimum for i in range(count)]
    costly = _each(count, lambda i: _tail(q.excess[i], d_nll, q.excess_stderr[i], q.n_nll) if after[i] else None)
    cheap = _each(count, lambda i: _tail(-q.excess[i], -d_nll, q.excess_stderr[i], q.n_nll))
    kept = _each(count, lambda i: _kept(q, i, margin))
    lower = _each(count, lambda i: _tail(-q.gap[i], 0.0, _gap_stderr(q, i), q.n_accuracy))
    p_costly, p_lower = statistics.holm(costly), statistics.holm(lower)
    verdicts = []
    for i, checkpoint in enumerate(checkpoints):
        facts = CheckpointTests(
            costly=_below(p_costly[i], alpha),
            cheap=_below(cheap[i], alpha),
            kept=_below(kept[i], alpha),
            lower=_below(p_lower[i], alpha),
            before_best=bool(q.plateau[i + 1 :].sum() > q.plateau[:i].sum()),
            before_minimum=q.minimum is not None and i < q.minimum,
            measured_nll=isfinite(q.excess[i]),
            measured_accuracy=isfinite(q.gap[i]),
            solvable=bool(q.reference > margin) and _solvable(q, margin),
        )
        excess, gap = _estimate(q.excess[i], q.excess_stderr[i], q.n_nll), _gap(q, i)
        evidence = _evidence(q, i, facts, d_nll, margin, alpha)
        evidence |= {"excess_low": excess.low, "excess_high": excess.high, "gap_low": gap.low, "gap_high": gap.high}
        verdicts.append(
            CheckpointVerdict(
                checkpoint,
                facts.regime,
                nll=_estimate(q.nll[i], q.nll_stderr[i], q.n_nll),
                accuracy=_accuracy(q, i),
                excess=excess,
                accuracy_gap=gap,
                p_costly=p_costly[i],
                p_kept=kept[i],
                reason=reason(facts, evidence, q.notes[i]),
                evidence=evidence,
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


def _worst(q: Quantities, i: int, margin: float, alpha: float) -> float:
    """The lower bound of the gap, at the level of the test: `kept` is where it lies above -margin."""
    stderr = float(q.gap_stderr[i])
    if q.n_accuracy:
        stderr = max(stderr, statistics.least_stderr(margin, q.n_accuracy, q.step))
    return float(q.gap[i]) - statistics.quantile(1 - alpha * STRICTER, q.n_accuracy or 1000) * stderr


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


def _evidence(
    q: Quantities, i: int, facts: CheckpointTests, d_nll: float, margin: float, alpha: float
) -> dict[str, Any]:
    """Every number that the decision rests on, and what would decide it where it is open."""
    found: dict[str, Any] = {
        "accuracy": _number(q.accuracy[i]),
        "gap": _number(q.gap[i]),
        "excess": _number(q.excess[i]),
        "reference_accuracy": _number(q.accuracy[i] - q.gap[i]),
        "costly": facts.costly,
        "cheap": facts.cheap,
        "kept": facts.kept,
        "lower": facts.lower,
        "before_best": facts.before_best,
        "before_minimum": facts.before_minimum,
        "solvable": facts.solvable,
        "d_nll": d_nll,
        "margin": margin,
        "n": q.n_accuracy or q.n_nll,
    }
    if isfinite(q.gap[i]):
        found["worst_gap"] = _worst(q, i, margin, alpha)
    if q.n_accuracy and isfinite(q.gap_stderr[i]):
        deviation = max(q.gap_stderr[i] * sqrt(q.n_accuracy), sqrt(max(margin * q.step - margin**2, 0.0)))
        found["detectable_gap"] = statistics.detectable(deviation, q.n_accuracy, alpha=alpha * STRICTER)
        if not facts.kept and not facts.lower:
            ways = (
                statistics.examples_needed(deviation, margin + q.gap[i], alpha=alpha * STRICTER),
                statistics.examples_needed(deviation, -q.gap[i], alpha=alpha),
            )
            found["examples_for_accuracy"] = _more(ways, q.n_accuracy)
    if q.n_nll and isfinite(q.excess_stderr[i]) and not facts.costly and not facts.cheap:
        deviation = q.excess_stderr[i] * sqrt(q.n_nll)
        way = statistics.examples_needed(deviation, abs(float(q.excess[i]) - d_nll), alpha=alpha)
        found["examples_for_nll"] = _more([way], q.n_nll)
    return found


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _more(ways: Sequence[int | None], n: int) -> int | None:
    """The smallest number of examples that would do, above the n that did not; None where none would."""
    possible = [w for w in ways if w is not None]
    return max(min(possible), n + n // 10 + 1) if possible else None
