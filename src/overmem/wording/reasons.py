"""The decision on one checkpoint, in sentences that are understood at first reading."""

from collections.abc import Mapping
from math import exp
from typing import TYPE_CHECKING, Any

from overmem.wording.numbers import capital, format_count, format_interval, format_n, parenthetical, percent, points

if TYPE_CHECKING:
    from overmem.verdict.rule import CheckpointTests


def reason(facts: "CheckpointTests", evidence: Mapping[str, Any], note: str) -> str:
    """Why a checkpoint is in its regime: what is certain, what is not, and what would decide it."""
    if not facts.measured_nll and not facts.measured_accuracy:
        return f"Not judged: {note or 'not measured'}."
    accuracy, nll = accuracy_clause(facts, evidence), nll_clause(facts, evidence)
    if not facts.measured_accuracy:
        return f"Accuracy is not judged here ({note or 'not measured'}). {capital(nll)}."
    if not facts.measured_nll:
        return f"Perplexity is not judged here ({note or 'not measured'}). {capital(accuracy)}."
    if not facts.solvable:
        return (
            f"Almost nothing is solved (accuracy {percent(evidence['accuracy'])}, and no checkpoint is shown to do "
            f"better than the margin of {points(evidence['margin'])}), so there is no accuracy that could be kept or "
            f"lost. {capital(nll)}. Check first that answers are read correctly from the completions."
        )
    if facts.regime != "undecided":
        joint = "but" if facts.regime == "over-memorized" else "and"
        return capital(f"{accuracy}, {joint} {nll}.")
    if facts.lower and not facts.before_best and facts.cheap:
        return capital(f"{accuracy}, although {nll}: accuracy fell without the perplexity that over-fitting brings.")
    return _open(facts, accuracy, nll, evidence)


def _open(facts: "CheckpointTests", accuracy: str, nll: str, evidence: Mapping[str, Any]) -> str:
    sure_accuracy, sure_nll = facts.kept or facts.lower, facts.costly or facts.cheap or facts.before_minimum
    if sure_accuracy:
        text = f"It is certain that {accuracy}. It is open whether perplexity is costly: {nll}."
    elif sure_nll:
        text = f"It is certain that {nll}. It is open whether accuracy is kept: {accuracy}."
    else:
        text = f"It is open whether accuracy is kept: {accuracy}. It is open, too, whether perplexity is costly: {nll}."
    return text + _wanted(evidence)


def accuracy_clause(facts: "CheckpointTests", e: Mapping[str, Any]) -> str:
    """Whether accuracy is kept, with what it is compared with; empty where it was not measured."""
    if not facts.measured_accuracy:
        return ""
    against = f"{percent(e['accuracy'])}, against {percent(e['reference_accuracy'])} at the best other checkpoints"
    if facts.lower and not facts.kept:
        place = "later" if facts.before_best else "before"
        interval = format_interval(e.get("gap_low"), e.get("gap_high"), "+.1f", 100)
        shown = parenthetical(f"difference {100 * e['gap']:+.1f} points", interval, format_n(e["n"]))
        return f"accuracy is lower: {against}, which came {place}{shown}"
    allowed = f"at worst {100 * e['worst_gap']:+.1f}, allowed {-100 * e['margin']:+.1f}" if "worst_gap" in e else ""
    shown = parenthetical(f"difference {100 * e['gap']:+.1f} points", allowed, format_n(e["n"]))
    return f"{'accuracy is kept: ' if facts.kept else 'it is '}{against}{shown}"


def nll_clause(facts: "CheckpointTests", e: Mapping[str, Any]) -> str:
    """Whether perplexity is costly, with what it is compared with; empty where it was not measured."""
    if not facts.measured_nll:
        return ""
    excess, limit = e["excess"], f"{e['d_nll']:g}"
    size = f"{abs(excess):.3f} nats per token {'above' if excess >= 0 else 'below'}"
    shown = parenthetical(format_interval(e.get("excess_low"), e.get("excess_high")), f"limit {limit}")
    if facts.costly:
        return f"perplexity is costly: {exp(excess):.2f} times its minimum, {size} it{shown}"
    if facts.cheap:
        return (
            "perplexity is at its minimum" if excess < 0.0005 else f"perplexity is near its minimum: {size} it{shown}"
        )
    if facts.before_minimum:
        return f"perplexity is still falling: {size} its later minimum{shown}"
    return f"it is {size} its minimum{shown}"


def hopeless(count: int | None, n: int) -> bool:
    """Whether so many examples would be needed, instead of n, that the truth lies as good as on the limit."""
    return count is None or count > max(50 * n, 20_000)


def _wanted(e: Mapping[str, Any]) -> str:
    """How many examples would decide what is open."""
    named = {"accuracy": "examples_for_accuracy", "perplexity": "examples_for_nll"}
    asked = {what: e[key] for what, key in named.items() if key in e}
    counts = {what: count for what, count in asked.items() if not hopeless(count, e["n"])}
    said = ""
    if counts:
        it = "it" if len(counts) == len(asked) else f"the {next(iter(counts))}"
        said = f" About {format_count(max(counts.values()))} examples instead of {e['n']:,} would decide {it}"
        said += ", four times out of five."
    near = " and ".join(what for what in asked if what not in counts)
    if near:
        said += f" The {near} lies so near the limit that more examples would hardly decide it."
    return said
