"""The name that a checkpoint's tests earn, with error control; `undecided` where they earn none."""

from math import expm1

from overmem.records import CheckpointTests
from overmem.verdict.facts import Facts

NAMES = (
    "under-trained",
    "still-learning",
    "healthy",
    "healthy-memorizing",
    "over-memorized",
    "risen-not-memorized",
    "over-fitted",
)
"""Every decided regime, in the order of a run."""


def named(tests: CheckpointTests) -> str:
    """The regime that follows from the tests.

    Without training rows (`memorized` is None) memory is taken for granted where perplexity is costly, and the wording
    says so. Where val and train are not alike it is never shown.
    """
    if not (tests.measured_nll and tests.measured_accuracy and tests.solvable):
        return "undecided"
    if tests.kept:
        return _kept(tests)
    if tests.lower and tests.before_best and tests.falls_short:
        return "still-learning" if tests.costly else "under-trained"
    return "over-fitted" if tests.lost and tests.costly and not tests.in_dip else "undecided"


def _kept(tests: CheckpointTests) -> str:
    if tests.costly:
        if tests.climbing:
            return "still-learning"
        if tests.unlike:
            return "undecided"
        if tests.memorized is None or tests.memorized:
            return "over-memorized"
        return "risen-not-memorized" if tests.not_memorized else "undecided"
    if tests.cheap:
        return "healthy-memorizing" if tests.memorized and not tests.unlike else "healthy"
    return "under-trained" if tests.still_falling else "undecided"


def checkpoint_tests(facts: Facts, i: int, alpha: float = 0.05) -> CheckpointTests:
    """What is shown at a judged checkpoint at this level; numbers that only words need are left out."""
    held, risen, memory = facts.accuracy, facts.rise, facts.memory
    costly = bool(risen.p_costly[i] < alpha)
    return CheckpointTests(
        measured_nll=True,
        measured_accuracy=True,
        costly=costly,
        cheap=bool(risen.p_cheap[i] < alpha),
        kept=bool((held.p_kept_of_many if costly else held.p_kept)[i] < alpha),
        lower=bool(held.p_lower[i] < alpha),
        lost=bool(held.p_lost[i] < alpha),
        climbing=bool(held.p_climbing[i] < alpha),
        falls_short=bool(held.gap[i] < -held.margin),
        before_best=bool(held.later[i] > 0.5),
        before_minimum=i < risen.trough,
        nll_limit=None if i < risen.trough else float(risen.level * expm1(risen.limit)),
        still_falling=bool(i < risen.trough and risen.p_cheap[i] > 1 - alpha),
        solvable=facts.solvable,
        chance=facts.chance,
        in_dip=any(dip.first <= i <= dip.last for dip in facts.dips if dip.after is not None),
        memorized=None if memory is None else bool(memory.p_memorized[i] < alpha / 2),
        not_memorized=memory is not None and bool(memory.p_not[i] < alpha / 2),
        unlike=facts.unlike,
        reference_accuracy=held.level,
        stretch_accuracy=float(held.judged[i]),
        worst_gap=float(held.worst[i]),
    )


def names(facts: Facts, alpha: float = 0.05) -> tuple[str, ...]:
    """The regime of each judged checkpoint."""
    return tuple(named(checkpoint_tests(facts, i, alpha)) for i in range(len(facts.rows)))
