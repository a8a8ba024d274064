"""The decision rule: from the tests of a run to a verdict on each of its checkpoints."""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

import numpy as np
from scipy.special import ndtri

from overmem import statistics
from overmem.records import Checkpoint, CheckpointTests, CheckpointVerdict, Estimate, Leaning, Limits
from overmem.records.verdicts import NOT_MEASURED
from overmem.verdict.facts import Facts
from overmem.verdict.leaning import probabilities
from overmem.verdict.naming import NAMES, checkpoint_tests, named
from overmem.verdict.quantities import Quantities
from overmem.verdict.stretches import settled

ALWAYS = float(ndtri(0.8))
"""Of the examples that are needed: enough to decide four times out of five."""
LEAST = 0.5
"""A leaning of less than this is not named."""


def judge(
    facts: Facts | None, q: Quantities, checkpoints: Sequence[Checkpoint], limits: Limits
) -> tuple[CheckpointVerdict, ...]:
    """One verdict for each checkpoint, in the same order.

    Args:
        facts: the tests of the trained checkpoints; None where none could be tested.
        q: what was measured at each checkpoint.
        checkpoints: in time order, the base model among them where it was measured.
        limits: resolved for this run.
    """
    places = {} if facts is None else {int(row): i for i, row in enumerate(facts.rows)}
    tests = [
        checkpoint_tests(facts, places[k], limits.alpha)
        if facts is not None and k in places
        else _untested(q, k, limits)
        for k in range(len(checkpoints))
    ]
    regimes = [named(t) for t in tests]
    leanings: dict[int, Leaning] = {}
    if facts is not None:
        table = probabilities(facts)
        kept, story = settled([regimes[row] for row in places], table)
        for (row, i), name, lasting in zip(places.items(), kept, story, strict=True):
            regimes[row] = name
            likeliest = float(table[i, NAMES.index(lasting)])
            refused = facts.unlike and lasting in ("over-memorized", "risen-not-memorized")
            if name == "undecided" and facts.solvable and likeliest >= LEAST and not refused:
                leanings[row] = Leaning(lasting, likeliest)
    return tuple(
        _verdict(
            checkpoint,
            regimes[k],
            _with_examples_needed(tests[k], facts, places.get(k), limits),
            q,
            k,
            facts,
            places.get(k),
            leanings.get(k),
        )
        for k, checkpoint in enumerate(checkpoints)
    )


def _verdict(
    checkpoint: Checkpoint,
    regime: str,
    tests: CheckpointTests,
    q: Quantities,
    k: int,
    facts: Facts | None,
    i: int | None,
    leaning: Leaning | None,
) -> CheckpointVerdict:
    p_costly, p_kept = None, None
    if facts is not None and i is not None:
        p_costly, p_kept = float(facts.rise.p_costly[i]), float(facts.accuracy.p_kept[i])
    return CheckpointVerdict(
        checkpoint,
        regime,
        nll=_not_below_0(_estimate(q.nll[k], q.nll_stderr[k], q.n_nll)),
        accuracy=_accuracy(q, k),
        excess=_excess(facts, i, q, k),
        accuracy_gap=_stretch_gap(facts, i) if facts is not None and i is not None else _gap(q, k),
        p_costly=p_costly,
        p_kept=p_kept,
        tests=tests,
        memory=_memory(facts, i),
        leaning=leaning,
    )


def _untested(q: Quantities, k: int, limits: Limits) -> CheckpointTests:
    """The tests of the base model, and of what was not measured on enough examples: each question by itself."""
    excess, gap = float(q.excess[k]), float(q.gap[k])
    measured_nll, measured_accuracy = isfinite(excess), isfinite(gap)

    def shown(value: float, threshold: float, error: float, n: int) -> bool:
        return isfinite(value) and statistics.tail(value, threshold, max(error, 1e-9), n or 1000) < limits.alpha

    risen = shown(excess, limits.absolute, float(q.excess_stderr[k]), q.n_nll)
    after = q.minimum is not None and k > q.minimum
    return CheckpointTests(
        measured_nll=measured_nll,
        measured_accuracy=measured_accuracy,
        costly=risen and after,
        cheap=shown(-excess, -limits.absolute, float(q.excess_stderr[k]), q.n_nll),
        kept=shown(gap, -limits.margin, float(q.gap_stderr[k]), q.n_accuracy),
        lower=shown(-gap, 0.0, float(q.gap_stderr[k]), q.n_accuracy),
        falls_short=measured_accuracy and gap < -limits.margin,
        before_best=not after,
        before_minimum=not after,
        still_falling=risen and not after,
        reference_accuracy=float(q.accuracy[k] - gap) if measured_accuracy else None,
        stretch_accuracy=float(q.accuracy[k]) if measured_accuracy else None,
        note=q.notes[k],
    )


def _excess(facts: Facts | None, i: int | None, q: Quantities, k: int) -> Estimate:
    """Nats per token above the trough: from there on of the trend, with luck in its interval; before it as measured."""
    if facts is None or i is None or i < facts.rise.trough:
        return _estimate(q.excess[k], q.excess_stderr[k], q.n_nll)
    risen = facts.rise
    rise, half = float(risen.log_rise[i]), statistics.Z * float(risen.stderr[i])
    low, value, high = (risen.level * float(np.expm1(x)) for x in (rise - half, max(rise, 0.0), rise + half))
    if risen.p_costly[i] < 0.05:
        low = max(low, 1e-6)
    note = "" if facts.clusters else "interval from the scatter of the curve"
    return Estimate(value, min(low, value), max(high, value), facts.clusters, note)


def _memory(facts: Facts | None, i: int | None) -> Estimate:
    if facts is None or facts.memory is None or i is None:
        return NOT_MEASURED
    m = facts.memory
    return Estimate(float(m.memory[i]), float(m.low[i]), float(m.high[i]), facts.clusters)


def _estimate(value: float, stderr: float, n: int) -> Estimate:
    if not isfinite(value):
        return Estimate(None, n=n, note="not measured")
    if not isfinite(stderr):
        return Estimate(float(value), n=n, note="no interval: too few examples or points")
    return statistics.student(float(value), float(stderr), n or 1000) if n else _band(float(value), float(stderr))


def _band(value: float, stderr: float) -> Estimate:
    half = statistics.Z * stderr
    return Estimate(value, value - half, value + half, 0, "interval from the scatter of the curve")


def _not_below_0(nll: Estimate) -> Estimate:
    return nll if nll.low is None else replace(nll, low=max(nll.low, 0.0))


def _accuracy(q: Quantities, k: int) -> Estimate:
    if not isfinite(q.accuracy[k]):
        return Estimate(None, n=q.n_accuracy, note="not measured")
    if q.n_accuracy:
        return statistics.share(float(q.accuracy[k]) * q.n_accuracy, q.n_accuracy)
    return Estimate(float(q.accuracy[k]), note="n unknown: no interval")


def _gap(q: Quantities, k: int) -> Estimate:
    if q.n_accuracy and isfinite(q.gap[k]) and isfinite(q.gap_stderr[k]):
        return statistics.share_difference(float(q.gap[k]), float(q.gap_stderr[k]), q.n_accuracy)
    return _estimate(q.gap[k], q.gap_stderr[k], q.n_accuracy)


def _stretch_gap(facts: Facts, i: int) -> Estimate:
    held = facts.accuracy
    gap, error = float(held.judged[i]) - held.level, float(held.judged_stderr[i])
    return statistics.share_difference(gap, error, facts.clusters) if facts.clusters else _band(gap, error)


def _with_examples_needed(
    tests: CheckpointTests, facts: Facts | None, i: int | None, limits: Limits
) -> CheckpointTests:
    """The tests with the loss of accuracy that they can detect, and what would decide what is open."""
    if facts is None or i is None or not facts.clusters:
        return tests
    n, held, risen = facts.clusters, facts.accuracy, facts.rise
    square = float(held.judged_stderr[i]) ** 2
    lucky = square * float(held.luck_share[i])
    reach = float(ndtri(1 - limits.alpha)) + ALWAYS
    for_accuracy, for_nll = None, None
    if tests.accuracy_is_open:
        distance = abs(float(held.judged[i]) - held.level + held.margin)
        for_accuracy = _needed(n, square - lucky, lucky, distance / reach)
    if tests.nll_is_open:
        lucky_nll = risen.luck.deviation**2
        distance = abs(float(risen.log_rise[i]) - risen.limit)
        for_nll = _needed(n, max(float(risen.stderr[i]) ** 2 - lucky_nll, 1e-9), lucky_nll, distance / reach)
    return replace(
        tests, detectable_gap=reach * square**0.5, examples_for_accuracy=for_accuracy, examples_for_nll=for_nll
    )


def _needed(n: int, sampling: float, lucky: float, error: float) -> int | None:
    """Examples that bring the standard error down to `error`; None where luck alone is more than that."""
    room = error**2 - lucky
    if room <= 0:
        return None
    return max(int(np.ceil(n * sampling / room)), n + n // 10 + 1)
