"""The decision on one checkpoint, in a sentence that is understood at first reading."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from overmem.regime.rule import Facts


def percent(value: float) -> str:
    """A fraction as percent, with one digit.

    >>> percent(0.7149)
    '71.5%'
    """
    return f"{100 * value:.1f}%"


def points(value: float) -> str:
    """The size of a difference of fractions, in percentage points.

    >>> points(-0.031)
    '3.1 points'
    """
    return f"{abs(100 * value):.1f} points"


def rounded(count: int) -> str:
    """A count to two digits, rounded up, with thousands separated.

    >>> rounded(1934), rounded(87)
    ('2,000', '87')
    """
    size = 10 ** max(len(str(count)) - 2, 0)
    return f"{-(-count // size) * size:,}"


def reason(facts: "Facts", evidence: Mapping[str, Any], note: str) -> str:
    """Why a checkpoint is in its regime: what is certain, what is not, and what would decide it."""
    if not facts.measured_nll and not facts.measured_accuracy:
        return f"Not judged: {note or 'not measured'}."
    if not facts.measured_accuracy:
        return f"Accuracy is not judged here ({note or 'not measured'}); {_nll_clause(facts, evidence)}."
    if not facts.measured_nll:
        return f"Perplexity is not judged here ({note or 'not measured'}); {_accuracy_clause(facts, evidence)}."
    if not facts.solvable:
        return (
            f"Almost nothing is solved (accuracy {percent(evidence['accuracy'])}, and no checkpoint does better than "
            f"the margin), so there is no accuracy that could be kept or lost; {_nll_clause(facts, evidence)}. "
            "Check first that answers are read correctly from the completions."
        )
    accuracy, nll = _accuracy_clause(facts, evidence), _nll_clause(facts, evidence)
    if facts.regime != "undecided":
        joint = "but" if facts.regime == "over-memorized" else "and"
        return _capital(f"{accuracy}, {joint} {nll}.")
    if facts.lower and not facts.before_best and facts.cheap:
        return _capital(f"{accuracy}, although {nll}: accuracy fell without the perplexity that over-fitting brings.")
    return _capital(f"{accuracy}; {nll}.{_wanted(evidence)}")


def _accuracy_clause(facts: "Facts", e: Mapping[str, Any]) -> str:
    at, gap, margin = percent(e["accuracy"]), e["gap"], points(e["margin"])
    if facts.kept:
        return f"accuracy {at} is kept (no more than {margin} below the plateau of {percent(e['reference_accuracy'])})"
    if facts.lower:
        place = "and the better checkpoints come later" if facts.before_best else "and the better ones came before"
        return f"accuracy {at} is {points(gap)} below that of the best checkpoints, {place}"
    side = "below" if gap < 0 else "above"
    size = f"{points(gap)} {side} the plateau" if abs(gap) >= 0.0005 else "level with the plateau"
    examples = f" with {e['n']:,} examples" if e["n"] else ""
    return f"accuracy {at} is {size}, which{examples} neither shows it kept within {margin} nor shows it lost"


def _nll_clause(facts: "Facts", e: Mapping[str, Any]) -> str:
    excess, limit = e["excess"], f"{e['d_nll']:g}"
    if facts.costly:
        return f"perplexity is costly: {excess:.3f} nats per token above its minimum, surely more than {limit}"
    if facts.cheap:
        return f"perplexity is within {limit} nats per token of its minimum"
    if facts.before_minimum:
        return f"perplexity is still falling ({excess:.3f} nats per token above its later minimum)"
    side = "above" if excess >= 0 else "below"
    return (
        f"perplexity, {abs(excess):.3f} nats per token {side} its minimum, is too close to the limit of {limit} to call"
    )


def _wanted(e: Mapping[str, Any]) -> str:
    """How many examples would decide what is open."""
    open_ = {"accuracy": "examples_for_accuracy", "perplexity": "examples_for_nll"}
    asked = {what: e[key] for what, key in open_.items() if key in e}
    if not asked:
        return ""
    if any(count is None or count > 1_000_000 for count in asked.values()):
        what = " and ".join(asked)
        return f" The {what} lies so near the limit that more examples would hardly decide it."
    most = max(asked.values())
    return f" About {rounded(most)} examples would decide it, four times out of five."


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
