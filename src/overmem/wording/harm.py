"""What over-memorization costs, in sentences: each cost by what it means, with its interval."""

from collections.abc import Sequence

from overmem.records import Consequence
from overmem.wording.numbers import format_interval, format_n, parenthetical, points

HOLM = " (p values corrected for testing several, by Holm's method)"


def cost_size(cost: Consequence, value: float) -> str:
    """The size of a cost: points where it is of a share."""
    return points(value) if cost.is_share else f"{abs(value):.3f}"


def cost_clause(cost: Consequence) -> str:
    """A cost that is positive, by what it means, with its interval, p and n."""
    d = cost.difference
    interval = format_interval(d.low, d.high, ".1f" if cost.is_share else ".3f", 100 if cost.is_share else 1)
    p = "" if cost.p is None else f"p {'< 0.001' if cost.p < 0.001 else f'= {cost.p:.3f}'}"
    size = "an unknown amount" if d.value is None else cost_size(cost, d.value)
    return f"{cost.name}: {cost.sentence.replace('{}', size)}{parenthetical(interval, p, format_n(d.n))}"


def harm(costs: Sequence[Consequence], reference: str | None, checkpoint: str | None) -> tuple[str, ...]:
    """Whether the rise does harm: what is confirmed, a sentence each, what is shown to be absent, and what is open.

    `costs` are those of `checkpoint` against `reference`.
    """
    if not costs:
        return (_unknown(reference in (None, checkpoint)),)
    confirmed = [c for c in costs if c.confirmed]
    several = f"{len(costs)} possible costs were tested" if len(costs) > 1 else "one possible cost was tested"
    tested = f"{checkpoint} was compared with {reference} on the same examples, {several}, and"
    if not confirmed:
        lead = f"No harm is shown, and a rise of perplexity alone can be harmless: {tested} none is confirmed{HOLM}."
        return (" ".join([lead, *_not_confirmed(costs)]),)
    count = f"{len(confirmed)} {'is' if len(confirmed) == 1 else 'are'} confirmed"
    sentences = [f"It does harm: {tested} {count}{HOLM}.", *(f"{cost_clause(c)}." for c in confirmed)]
    return (*sentences, *_not_confirmed(costs))


def privacy_sentences(privacy: Sequence[Consequence], reference: str | None) -> tuple[str, ...]:
    """What training rows give away more than at the reference: memory, which is no harm to answers."""
    confirmed = [c for c in privacy if c.confirmed]
    if confirmed:
        lead = f"Privacy: against {reference}, {'; '.join(cost_clause(c) for c in confirmed)}."
        return (" ".join([lead, *_not_confirmed(privacy)]),)
    return (f"Privacy: {' '.join(_not_confirmed(privacy))}",) if privacy else ()


def _not_confirmed(costs: Sequence[Consequence]) -> list[str]:
    """What is shown to be too small to matter, and what the intervals leave open."""
    absent = [_at_most(c) for c in costs if c.absent and not c.confirmed]
    left = [_at_most(c) for c in costs if not c.confirmed and not c.absent and c.difference.high is not None]
    return [
        *([f"Shown to be too small to matter, by the 95% intervals: {'; '.join(absent)}."] if absent else []),
        *([f"Neither shown nor excluded, by the 95% intervals: {'; '.join(left)}."] if left else []),
    ]


def _unknown(has_no_reference: bool) -> str:
    why = (
        "cannot be told: there is no healthy checkpoint on disk to compare with"
        if has_no_reference
        else "was not measured: no shifted, out-of-distribution or sampled answers were observed"
    )
    return f"Whether this does harm {why}. A rise of perplexity alone can be harmless."


def _at_most(cost: Consequence) -> str:
    high = cost.difference.high
    limit = "" if cost.matters is None else f" ({cost_size(cost, cost.matters)} would matter)"
    if high is None or high <= 0:
        return f"{cost.name}, better if anything"
    return f"{cost.name}, {cost_size(cost, high)} worse at most{limit}"
