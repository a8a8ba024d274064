"""What a comparison found, in sentences."""

from collections.abc import Mapping

from overmem.records import Estimate, Limits
from overmem.verdict.matching import Closest, Pair
from overmem.wording.harm import cost_clause
from overmem.wording.numbers import format_count, format_interval, format_n, parenthetical, percent, points


def pair_sentence(pair: Pair) -> str:
    """That two checkpoints solve equally much, how their perplexities differ, and what else does."""
    a, b, gap, nll = pair.accuracy_low, pair.accuracy_high, pair.accuracy_difference, pair.nll_difference
    shown = parenthetical(
        format_interval(gap.low, gap.high, "+.1f", 100), f"equivalence p {_p(pair.p_equivalent)}", format_n(a.n)
    )
    text = (
        f"{pair.low} and {pair.high} solve equally much, {percent(a.value)} and {percent(b.value)}: "
        f"a difference of {_points(gap)}{shown}. The nll of {pair.high} is "
        f"{_nats(nll)} higher{parenthetical(format_interval(nll.low, nll.high))}."
    )
    if not pair.behaviours:
        return f"{text} Nothing else was measured on both."
    tested = f"Of {len(pair.behaviours)} other behaviour{'s' if len(pair.behaviours) > 1 else ''}"
    worse = [c for c in pair.behaviours if c.confirmed]
    if not worse:
        return f"{text} {tested} none is shown to be worse there (Holm-corrected)."
    return f"{text} {tested} it is worse in (Holm-corrected): {'; '.join(cost_clause(c) for c in worse)}."


def across_sentence(differences: Mapping[str, Estimate], matched: int, seeds: int, limits: Limits) -> str:
    """What holds over seeds."""
    if matched < 2:
        return f"Of {seeds} seeds only {matched} has a matched pair in this direction, so nothing is said over seeds."
    gap, nll = differences["accuracy"], differences["nll"]
    inside = gap.low is not None and gap.high is not None and max(-gap.low, gap.high) < limits.margin
    text = (
        f"Over {matched} of {seeds} seeds, the seed as a random effect: the nll is {_nats(nll)} "
        f"higher{parenthetical(format_interval(nll.low, nll.high))} and accuracy "
        f"{_points(gap)} different"
        f"{parenthetical(format_interval(gap.low, gap.high, '+.1f', 100))}, which "
        f"{'stays within' if inside else 'is not shown to stay within'} {points(limits.margin)}"
    )
    rest = {k: v for k, v in differences.items() if k not in ("accuracy", "nll")}
    worse = [name for name, v in rest.items() if v.low is not None and v.low > 0]
    clauses = [
        f"{name} {v.value:+.3f}{parenthetical(format_interval(v.low, v.high, '+.3f'))}"
        for name, v in rest.items()
        if v.value is not None and v.low is not None
    ]
    if not clauses:
        return f"{text}."
    return f"{text}. Positive is worse: {'; '.join(clauses)}. Shown over seeds: {', '.join(worse) or 'none'}."


def no_pair_sentence(near: Closest) -> str:
    """Why there is no matched pair, and what is closest."""
    more = f"; about {format_count(near.needed)} examples would show it" if near.needed and near.needed > near.n else ""
    return (
        f"No pair of checkpoints is shown to have equal accuracy (within {points(near.limits.margin)}) and different "
        f"perplexity (by more than {near.limits.absolute:g} nats per token) with n = {near.n:,}. The closest "
        f"accuracies are those of {near.a} and {near.b}, {points(near.gap)} apart{more}."
    )


def _points(difference: Estimate) -> str:
    return "an unknown number of points" if difference.value is None else f"{100 * difference.value:+.1f} points"


def _nats(difference: Estimate) -> str:
    return "an unknown amount" if difference.value is None else f"{difference.value:.3f} nats per token"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
