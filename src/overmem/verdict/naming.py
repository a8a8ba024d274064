"""The name that the facts of a checkpoint earn, with error control; `undecided` where they earn none."""

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


def names(facts: Facts, alpha: float = 0.05) -> tuple[str, ...]:
    """The regime of each judged checkpoint."""
    return tuple(_name(facts, i, alpha) for i in range(len(facts.rows)))


def _name(facts: Facts, i: int, alpha: float) -> str:
    held, risen = facts.accuracy, facts.rise
    if not facts.solvable:
        return "undecided"
    costly, cheap = risen.p_costly[i] < alpha, risen.p_cheap[i] < alpha
    memorized, not_memorized = _memory(facts, i, alpha)
    if held.p_kept[i] < alpha:
        if costly:
            if held.p_climbing[i] < alpha:
                return "still-learning"
            return "over-memorized" if memorized else "risen-not-memorized" if not_memorized else "undecided"
        if cheap:
            return "healthy-memorizing" if memorized and facts.memory is not None else "healthy"
        falling = i < risen.trough and risen.p_cheap[i] > 1 - alpha
        return "under-trained" if falling else "undecided"
    if held.p_lower[i] < alpha and held.later[i] > 0.5 and held.gap[i] < -held.margin:
        return "still-learning" if costly else "under-trained"
    return "over-fitted" if held.p_lost[i] < alpha and costly else "undecided"


def _memory(facts: Facts, i: int, alpha: float) -> tuple[bool, bool]:
    """Whether the rows are shown to be memorized, and shown not to be.

    Without training rows the first is taken for granted, and the wording says so. Where val is told from train by its
    words alone neither is shown.
    """
    if facts.unlike:
        return False, False
    if facts.memory is None:
        return True, False
    return bool(facts.memory.p_memorized[i] < alpha / 2), bool(facts.memory.p_not[i] < alpha / 2)
