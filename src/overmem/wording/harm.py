"""What over-memorization costs, in sentences: each cost by what it means, with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from overmem.records import Consequence
from overmem.wording.numbers import format_interval, format_n, parenthetical, points


@dataclass(frozen=True)
class Meaning:
    """A cost in words: `text` takes its size, which is a share of something, or a number in a unit of its own."""

    text: str
    share: bool = True


MEANINGS: Mapping[str, Meaning] = {
    "robustness": Meaning("accuracy on the test questions told otherwise is {} lower"),
    "ood": Meaning("accuracy on questions of another kind than it was trained on is {} lower"),
    "pass": Meaning("a question is solved by at least one of several draws {} less often"),
    "best-of": Meaning("the likeliest of several draws is right {} less often"),
    "diversity (texts)": Meaning("the draws of a question are worth {} fewer different texts", share=False),
    "diversity (solutions)": Meaning("two right draws of a question calculate differently {} less often"),
    "calibration": Meaning("its confidence is {} further from how often it is right"),
    "membership": Meaning(
        "training rows are told from unseen ones better, AUROC (0.5 is chance) {} higher", share=False
    ),
    "extraction": Meaning("it completes {} more of a training solution word for word"),
}
"""By how the name of a cost begins."""


HOLM = " (p values corrected for testing several, by Holm's method)"


def meaning(name: str) -> Meaning:
    """What the cost of this name says; its bare name where it is not one of MEANINGS."""
    return next((m for start, m in MEANINGS.items() if name.startswith(start)), Meaning("worse by {}", share=False))


def cost_size(cost: Consequence, value: float) -> str:
    """The size of a cost: points where it is of a share."""
    return points(value) if meaning(cost.name).share else f"{abs(value):.3f}"


def cost_clause(cost: Consequence) -> str:
    """A cost that is positive, by what it means, with its interval, p and n."""
    d, said = cost.difference, meaning(cost.name)
    interval = format_interval(d.low, d.high, ".1f" if said.share else ".3f", 100 if said.share else 1)
    p = "" if cost.p is None else f"p {'< 0.001' if cost.p < 0.001 else f'= {cost.p:.3f}'}"
    return (
        f"{cost.name}: {said.text.format(cost_size(cost, d.value or 0.0))}{parenthetical(interval, p, format_n(d.n))}"
    )


def harm(costs: Sequence[Consequence], beside: str | None, late: str | None) -> tuple[str, ...]:
    """Whether the rise does harm: what is confirmed, a sentence each, and what is not.

    `costs` are of checkpoint `late` against `beside`.
    """
    if not costs:
        return (_unknown(beside in (None, late)),)
    confirmed = [c for c in costs if c.confirmed]
    several = f"{len(costs)} possible costs were tested" if len(costs) > 1 else "one possible cost was tested"
    tested = f"{late} was compared with {beside} on the same examples, {several}, and"
    rest = "; ".join(_at_most(c) for c in costs if not c.confirmed and c.difference.high is not None)
    if not confirmed:
        return (
            f"No harm is shown, and a rise of perplexity alone can be harmless: {tested} none is confirmed{HOLM}."
            + (f" What the 95% intervals do not exclude: {rest}." if rest else ""),
        )
    count = f"{len(confirmed)} {'is' if len(confirmed) == 1 else 'are'} confirmed"
    said = [f"It does harm: {tested} {count}{HOLM}.", *(f"{cost_clause(c)}." for c in confirmed)]
    return (*said, f"Not shown to be worse (by the 95% intervals): {rest}.") if rest else tuple(said)


def _unknown(alone: bool) -> str:
    why = (
        "cannot be told: there is no healthy checkpoint on disk to compare with"
        if alone
        else "was not measured: no shifted, out-of-distribution or sampled answers were observed"
    )
    return f"Whether this does harm {why}. A rise of perplexity alone can be harmless."


def _at_most(cost: Consequence) -> str:
    high = cost.difference.high or 0.0
    return f"{cost.name}, {cost_size(cost, high)} worse at most" if high > 0 else f"{cost.name}, better if anything"
