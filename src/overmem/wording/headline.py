"""The verdict in one sentence: what to ship, and why."""

from collections.abc import Callable, Mapping

from overmem.records import CheckpointVerdict
from overmem.verdict.assess import Assessment
from overmem.wording.numbers import (
    format_count,
    format_interval,
    format_n,
    is_within_noise,
    parenthetical,
    percent,
    points,
    signed_points,
)
from overmem.wording.reasons import chance_sentence, examples_needed, is_hopeless

UNSOLVED = ", if any: almost nothing is solved, so check first that answers are read correctly."


def headline(assessment: Assessment) -> str:
    """What to do, and why; where the data cannot tell, what is certain and what would decide."""
    return with_divergence(_headline(assessment), assessment.diverged)


def with_divergence(text: str, diverged: str | None) -> str:
    """The headline, going on to say where the run diverged, if it did."""
    if diverged is None:
        return text
    return f"{text} The run diverged: ship nothing from {diverged} on."


def _headline(assessment: Assessment) -> str:
    if not assessment.best_of_run:
        return _nothing_to_ship(assessment)
    if not assessment.is_worth_shipping:
        return ship_none(assessment)
    last = assessment.trained[-1] if assessment.trained else None
    if last is None:
        return f"{_ship(assessment)}."
    return f"{_ship(assessment)}{_because(assessment, last)}"


def _because(assessment: Assessment, last: CheckpointVerdict) -> str:
    """How the sentence goes on after what to ship."""
    if assessment.mismatch.differs and last.tests.costly:
        return ": perplexity rises, but val and train are not one distribution, so it is not called memorization."
    if assessment.onset is not None:
        return _over_memorized(assessment, last)
    if last.regime == "undecided" and len(assessment.trained) == 1:
        return ": it is the only one, so there is nothing to compare it with."
    sound = [v for v in assessment.trained if v.is_judged]
    if not last.is_judged and sound and not sound[-1].tests.solvable:
        return UNSOLVED
    if not last.is_judged and assessment.diverged is not None:
        return f": it is the best of those before {assessment.diverged}."
    if not last.is_judged:
        return f": the end of the run ({last.checkpoint.name}) was not judged, because something is missing there."
    return ENDINGS[last.regime](assessment, last)


def ship_none(assessment: Assessment) -> str:
    """Why the best checkpoint of a run is not worth shipping: the run only guesses, or the base model is as good."""
    last = assessment.trained[-1] if assessment.trained else None
    if last is not None and last.tests.choices_at_chance is not None:
        return f"Ship none. {chance_sentence(last.tests.choices_at_chance)}"
    best, gain = assessment.best_of_run, assessment.over_base
    accuracy = None if assessment.best is None else assessment.best.accuracy
    if last is not None and accuracy is not None and accuracy.value is not None and accuracy.value <= last.tests.chance:
        shown = parenthetical(format_interval(accuracy.low, accuracy.high, ".1f", 100), format_n(accuracy.n))
        level = f"answers no better than guessing, which is right in {percent(last.tests.chance)}"
        what = level if last.tests.chance else "gets nothing right"
        return f"Ship none: {best}, the best choice of the run, {what}: {percent(accuracy.value)}{shown}."
    if gain is None or gain.value is None:
        return "Ship none."
    shown = parenthetical(format_interval(gain.low, gain.high, "+.1f", 100), format_n(gain.n))
    if gain.high is not None and gain.high < 0:
        return (
            f"Ship none: the base model is more accurate than {best}, the best choice of the run, "
            f"which lies {signed_points(gain.value)} points from it{shown}."
        )
    return (
        f"Ship none yet: {best}, the best choice of the run, is not shown to be more accurate than the "
        f"base model: {signed_points(gain.value)} points{shown}."
    )


def _ship(assessment: Assessment) -> str:
    """What to ship; less firmly where it is not shown to be better than the base model."""
    name, gain = assessment.best_of_run, assessment.over_base
    if assessment.best is not None and assessment.best.rule == "merge":
        name += ", a merge that is shown to be better than the best single checkpoint"
    elif assessment.trained and name == assessment.trained[-1].checkpoint.name:
        name += ", the last checkpoint"
    if gain is not None and gain.low is not None and gain.low <= 0:
        comma = "," if name != assessment.best_of_run else ""
        return f"The best choice of the run is {name}{comma} though it is not shown to be better than the base model"
    return f"Ship {name}"


def _nothing_to_ship(assessment: Assessment) -> str:
    is_judged = any(v.is_judged for v in assessment.trained)
    why = "none that was judged is on disk" if is_judged else "none has both perplexity and accuracy"
    since = f"; {_since(assessment)} the run is over-memorized" if assessment.onset else ""
    return f"No checkpoint can be recommended, because {why}{since}."


def _since(assessment: Assessment) -> str:
    onset = assessment.onset
    if onset is None:
        return ""
    if onset.step.value is not None:
        return f"from about step {onset.step.value:,.0f} on"
    return f"from {onset.checkpoint} on"


def _over_memorized(assessment: Assessment, last: CheckpointVerdict) -> str:
    """Of a run that has an onset, whatever its last checkpoint is called."""
    ends = {"over-memorized": "", "undecided": " (at its very end undecided)"}
    end = ends.get(last.regime, f", and {last.regime} at its end")
    if not _is_after_onset(assessment):
        return f": {_since(assessment)} the run is over-memorized{end}{_harm(assessment)}."
    healthy = assessment.healthy
    if healthy is not None and healthy.regret.value is not None and healthy.regret.value >= 0.0005:
        why = f"the best healthy one, {healthy.checkpoint}, is {points(healthy.regret.value)} less accurate"
        if is_within_noise(healthy.regret):
            why += " on test, within noise there" if healthy.measured_on == "test" else ", more than its standard error"
    else:
        where = "as logged" if assessment.from_curves else "on val"
        why = f"{where}, every candidate of lower perplexity is less accurate"
    return f", although the run is over-memorized {_since(assessment)}{end}: {why}."


def _is_after_onset(assessment: Assessment) -> bool:
    """Whether the recommended checkpoint is over-memorized itself, or lies after the onset."""
    if assessment.best is None or assessment.best.rule == "merge":
        return False
    verdict = next((v for v in assessment.verdicts if v.checkpoint.name == assessment.best_of_run), None)
    onset = None if assessment.onset is None else assessment.onset.step.value
    if verdict is None:
        return False
    is_later = onset is not None and verdict.checkpoint.step > onset and not verdict.regime.startswith("healthy")
    return verdict.regime == "over-memorized" or is_later


def _harm(assessment: Assessment) -> str:
    confirmed = [c.name for c in assessment.costs if c.confirmed]
    if len(confirmed) > 2:
        return (
            f", and that is shown to do harm in {len(confirmed)} of the {len(assessment.costs)} ways that were tested"
        )
    if confirmed:
        return f", and that is shown to do harm: {' and '.join(confirmed)}"
    if private := [c.name for c in assessment.privacy if c.confirmed]:
        return f", and that is shown to cost privacy: {' and '.join(private)}"
    return ", though no harm is shown" if assessment.costs else ", though its harm was not measured"


def _healthy(assessment: Assessment, last: CheckpointVerdict) -> str:
    is_last = assessment.best_of_run == last.checkpoint.name
    if is_last and len(assessment.trained) > 1 and _is_short_of_best(assessment.trained[-2]):
        return ": the run is healthy and was still improving when it ended, so more training may help."
    if is_last or not _is_level(assessment, last.checkpoint.name):
        return ": the run is healthy to its end."
    return ": the run is healthy to its end, so the last one would do as well."


def _is_short_of_best(checkpoint: CheckpointVerdict) -> bool:
    """Whether accuracy is shown to have been lower than it became later."""
    tests = checkpoint.tests
    return checkpoint.regime == "under-trained" or (tests.lower and tests.before_best and not tests.costly)


def _is_level(assessment: Assessment, name: str) -> bool:
    """Whether shipping another checkpoint is not shown to cost accuracy; also where its price is not known."""
    regret = next((c.regret for c in assessment.choices if c.checkpoint == name), None)
    return regret is None or regret.value is None or regret.value < 0.0005 or is_within_noise(regret)


def _fall(assessment: Assessment, last: CheckpointVerdict) -> str:
    """That accuracy has fallen: the last checkpoint's own, or that of its neighbourhood where its own is the best."""
    own = [v.accuracy.value for v in assessment.trained if v.accuracy.value is not None]
    if last.accuracy.value is not None and own and last.accuracy.value >= max(own):
        return "accuracy has, over neighbouring checkpoints, fallen"
    return "accuracy has fallen"


def _undecided(assessment: Assessment, last: CheckpointVerdict) -> str:
    tests, n = last.tests, last.accuracy.n or last.nll.n
    if not tests.solvable and tests.chance:
        return f", if any: it is not shown that the run answers better than guessing ({percent(tests.chance)})."
    if not tests.solvable:
        return UNSOLVED
    if tests.lower and tests.cheap:
        return f": by the end of the run {_fall(assessment, last)}, although perplexity has not risen."
    is_certain = {
        "perplexity is costly": tests.costly,
        "perplexity is near its minimum": tests.cheap,
        "accuracy is kept": tests.kept,
        "accuracy is lower": tests.lower and not tests.kept,
    }
    certain = " and ".join(words for words, certain in is_certain.items() if certain)
    by_more = f"it is lower by more than the {points(assessment.limits.margin)} that are allowed"
    kept = by_more if tests.lower else "accuracy is kept"
    is_open = {kept: tests.accuracy_is_open, "perplexity is costly": tests.nll_is_open}
    leaning = "" if last.leaning is None else f"; it leans to {last.leaning.regime} ({last.leaning.probability:.2f})"
    comma = "," if assessment.best_of_run == last.checkpoint.name else ""
    if not any(is_open.values()):
        return f"{comma} for now: {certain} at the last checkpoint, but not over the stretch around it{leaning}."
    open_questions = " or whether ".join(words for words, is_asked in is_open.items() if is_asked)
    counts = list(examples_needed(last).values())
    could = ""
    if counts and not any(is_hopeless(count, n) for count in counts):
        could = f"; about {format_count(max(c for c in counts if c is not None))} could"
    begin = f"at the end of the run {certain}, but" if certain else "at the end of the run"
    examples = f"{n:,} examples" if n else "the logged curves"
    return f"{comma} for now: {begin} {examples} cannot tell whether {open_questions}{leaning}{could}."


ENDINGS: Mapping[str, Callable[[Assessment, CheckpointVerdict], str]] = {
    "under-trained": lambda assessment, last: (
        ": by the end of the run accuracy had not reached its best, so more training may help."
    ),
    "healthy": _healthy,
    "healthy-memorizing": _healthy,
    "still-learning": lambda assessment, last: (
        ": perplexity has risen, but accuracy was still rising when the run ended, so more training may help."
    ),
    "over-memorized": _over_memorized,
    "risen-not-memorized": lambda assessment, last: (
        ": perplexity has risen while accuracy is kept, but the training rows are not memorized."
    ),
    "over-fitted": lambda assessment, last: (
        f": by the end of the run {_fall(assessment, last)} and perplexity has risen (over-fitted)."
    ),
    "undecided": _undecided,
}
"""Regime of the last checkpoint -> how the headline goes on after what to ship."""
