"""The decision on one checkpoint, in sentences that are understood at first reading."""

from math import exp, log

from overmem.records import CheckpointVerdict, Limits
from overmem.records.digits import decimals_of
from overmem.wording.numbers import (
    capital,
    format_count,
    format_interval,
    format_n,
    parenthetical,
    percent,
    points,
    signed_points,
)

NOT_MEMORIZATION = "That is not called over-memorization, because val and train are not one distribution."


def reason(verdict: CheckpointVerdict, limits: Limits) -> str:
    """Why a checkpoint is in its regime: what is certain, what is not, and what would decide it."""
    tests = verdict.tests
    accuracy, nll = accuracy_clause(verdict, limits), nll_clause(verdict, limits)
    if not (tests.measured_nll and tests.measured_accuracy):
        return _partly_judged(verdict, accuracy, nll)
    if tests.choices_at_chance is not None:
        return chance_sentence(tests.choices_at_chance)
    if not tests.solvable and tests.chance:
        return (
            f"No checkpoint is shown to answer better than guessing, which is right in {percent(tests.chance)}, by the "
            f"margin of {points(limits.margin)} (accuracy {percent(verdict.accuracy.value)}), so there is no accuracy "
            f"that could be kept or lost. {capital(nll)}."
        )
    if not tests.solvable:
        return (
            f"Almost nothing is solved (accuracy {percent(verdict.accuracy.value)}, and no checkpoint is shown to do "
            f"better than the margin of {points(limits.margin)}), so there is no accuracy that could be kept or lost. "
            f"{capital(nll)}. Check first that answers are read correctly from the completions."
        )
    if tests.kept and tests.costly:
        return f"{capital(accuracy)}, but {nll}. {memory_sentence(verdict)}{_leaning(verdict)}"
    if verdict.regime != "undecided":
        more = f" {memory_sentence(verdict)}" if verdict.regime == "healthy-memorizing" else ""
        return f"{capital(accuracy)}, and {nll}.{more}"
    if tests.in_dip and tests.lost:
        return f"{capital(accuracy)}, but it comes back afterwards: a dip, not a decline. {capital(nll)}."
    if tests.lower and not tests.before_best and tests.cheap:
        return f"{capital(accuracy)}, although {nll}: accuracy fell without the perplexity that over-fitting brings."
    if not (tests.accuracy_is_open or tests.nll_is_open):
        return f"{capital(accuracy)}, and {nll}: alone, but not in its stretch of the run.{_leaning(verdict)}"
    return _open(verdict, accuracy, nll_clause(verdict, limits, subject="it"))


def _partly_judged(verdict: CheckpointVerdict, accuracy: str, nll: str) -> str:
    """Where perplexity or accuracy was not measured, or had nothing to be compared with."""
    tests, note = verdict.tests, verdict.tests.note or "not measured"
    if not tests.measured_nll and not tests.measured_accuracy:
        return f"Not judged: {note}."
    if tests.measured_accuracy:
        clause = f"accuracy{accuracy.removeprefix('it')}" if accuracy.startswith("it is ") else accuracy
        return f"Perplexity is not judged here ({note}). {capital(clause)}."
    if verdict.accuracy.value is not None:
        return "Not judged: accuracy was measured at no other checkpoint, so there is nothing to compare it with."
    return f"Accuracy is not judged here ({note}). {capital(nll)}."


def chance_sentence(choices: int) -> str:
    """That a run has learned nothing."""
    return (
        f"Nothing was learned: all along the run accuracy is that of guessing among {choices} choices "
        f"({percent(1 / choices)}), and the loss is that of guessing too (ln {choices} = {log(choices):.3f})."
    )


def _open(verdict: CheckpointVerdict, accuracy: str, nll: str) -> str:
    tests = verdict.tests
    if not tests.accuracy_is_open:
        text = f"It is certain that {accuracy}. It is open whether perplexity is costly: {nll}."
    elif not tests.nll_is_open or tests.still_falling:
        text = f"It is certain that {nll}. It is open whether accuracy is kept: {accuracy}."
    else:
        text = f"It is open whether accuracy is kept: {accuracy}. It is open, too, whether perplexity is costly: {nll}."
    return text + _leaning(verdict) + _examples_needed(verdict)


def memory_sentence(verdict: CheckpointVerdict) -> str:
    """How much of what was learned is memory of the training rows, and what follows from it."""
    tests, memory = verdict.tests, verdict.memory
    if tests.unlike:
        return NOT_MEMORIZATION
    if memory.value is None:
        return "Memory was not measured (no training rows were scored), so the rise alone is taken for it."
    low, high = (None if end is None else max(end, 0.0) for end in (memory.low, memory.high))
    is_narrow = low is not None and high is not None and high - low < 0.01
    shown = parenthetical(format_interval(low, high, ".1f" if is_narrow else ".0f", 100), format_n(memory.n))
    size = f"{100 * max(memory.value, 0.0):.0f}% of what the training rows gained does not carry over to val{shown}"
    if tests.memorized:
        return f"The training rows are memorized: {size}."
    if tests.not_memorized:
        return f"The training rows are not memorized: {size}."
    return f"It is open whether the training rows are memorized: {size}."


def _leaning(verdict: CheckpointVerdict) -> str:
    if verdict.leaning is None:
        return ""
    return f" It leans to {verdict.leaning.regime} (probability {verdict.leaning.probability:.2f})."


def accuracy_clause(verdict: CheckpointVerdict, limits: Limits) -> str:
    """Whether accuracy is kept, with what it is compared with; empty where it was not measured."""
    tests, gap, n = verdict.tests, verdict.accuracy_gap, verdict.accuracy.n
    if gap.value is None:
        return ""
    own, reference = percent(tests.stretch_accuracy), percent(tests.reference_accuracy)
    if tests.kept and abs(gap.value) < 5e-4 and tests.worst_gap is not None and abs(tests.worst_gap) < 5e-4:
        return f"accuracy is kept: {own} over its stretch, which is the best of the run{parenthetical(format_n(n))}"
    against = f"{own} over its stretch, against {reference} on the plateau"
    difference = f"difference {signed_points(gap.value)} points"
    if tests.lower and not tests.kept and not tests.accuracy_is_open:
        place = "later" if tests.before_best else "before"
        shown = parenthetical(difference, format_interval(gap.low, gap.high, "+.1f", 100), format_n(n))
        return f"accuracy is lower: {against}, which came {place}{shown}"
    worst = tests.worst_gap
    allowed = "" if worst is None else f"at worst {signed_points(worst)}, allowed {signed_points(-limits.margin)}"
    shown = parenthetical(difference, allowed, format_n(n))
    return f"{'accuracy is kept: ' if tests.kept else 'it is '}{against}{shown}"


def nll_clause(verdict: CheckpointVerdict, limits: Limits, *, subject: str = "perplexity") -> str:
    """Whether perplexity is costly, with what it is compared with; empty where it was not measured."""
    tests, excess = verdict.tests, verdict.excess
    if excess.value is None:
        return ""
    unit = "nats per token" if verdict.nll.n else "nats"
    trend = "by its trend " if verdict.p_costly is not None and not tests.before_minimum else ""
    limit = limits.absolute if tests.nll_limit is None else tests.nll_limit
    digits = decimals_of(verdict.nll.value)
    size = f"{abs(excess.value):.{digits}f} {unit} {'above' if excess.value >= 0 else 'below'}"
    shown = parenthetical(format_interval(excess.low, excess.high, f".{digits}f"), f"limit {limit:.2g}")
    if tests.costly:
        times = (
            f"{exp(excess.value):.2f} times its minimum, {size} it" if excess.value >= 0.005 else f"{size} its minimum"
        )
        return f"perplexity is costly: {trend}{times}{shown}"
    if excess.value < 0.5 * 10**-digits and not tests.still_falling:
        return "perplexity is at its minimum"
    if tests.still_falling:
        return f"perplexity is still falling: {size} its later minimum{shown}"
    if tests.cheap and tests.before_minimum and excess.value > limit:
        return f"perplexity has not risen yet: {size} its later minimum{shown}"
    if tests.cheap:
        return f"perplexity is near its minimum: {trend}{size} it{shown}"
    return f"{trend}{subject} is {size} its minimum{shown}"


def is_hopeless(count: int | None, n: int) -> bool:
    """Whether so many examples would be needed, instead of n, that the truth all but lies on the limit."""
    return count is None or count > max(50 * n, 20_000)


def examples_needed(verdict: CheckpointVerdict) -> dict[str, int | None]:
    """What is open at a checkpoint -> the examples that would decide it, None where none would.

    Empty where nothing is open, or where it is not known how many examples there were.
    """
    tests = verdict.tests
    needed = {}
    if tests.accuracy_is_open and verdict.accuracy.n:
        needed["accuracy"] = tests.examples_for_accuracy
    if tests.nll_is_open and verdict.nll.n:
        needed["perplexity"] = tests.examples_for_nll
    return needed


def _examples_needed(verdict: CheckpointVerdict) -> str:
    """How many examples would decide what is open."""
    n, needed = verdict.accuracy.n or verdict.nll.n, examples_needed(verdict)
    counts = {what: count for what, count in needed.items() if count is not None and not is_hopeless(count, n)}
    text = ""
    if counts:
        it = "it" if len(counts) == len(needed) else f"the {next(iter(counts))}"
        text = (
            f" About {format_count(max(counts.values()))} examples instead of {n:,} would decide {it}, four times "
            "out of five."
        )
    near = " and ".join(what for what in needed if what not in counts)
    if near:
        text += f" The {near} lies so near the limit that more examples would hardly decide it."
    return text
