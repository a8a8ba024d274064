"""The verdict on a run in sentences that a person understands at first reading."""

from collections.abc import Sequence
from math import exp

from overmem.records import REGIMES, CheckpointVerdict, Choice, Estimate, Onset, Severity
from overmem.records.digits import decimals_of
from overmem.verdict.assess import Assessment
from overmem.wording.dips import dip_sentences
from overmem.wording.harm import harm, privacy_sentences
from overmem.wording.mismatch import mismatch_sentence
from overmem.wording.numbers import (
    format_interval,
    format_n,
    is_within_noise,
    listed,
    parenthetical,
    percent,
    points,
    signed_points,
)


def verdict_sentences(assessment: Assessment) -> tuple[str, ...]:
    """Regime, onset, severity, costs and recommendation, a sentence or two each."""
    differs = mismatch_sentence(assessment.mismatch, assessment.limits)
    sentences = [differs] if differs else []
    if assessment.trained:
        sentences.append(_end(assessment.trained[-1]) + _on_test(assessment.regime, assessment.end_on_test))
    sentences += dip_sentences(assessment.dips)
    if assessment.onset is not None:
        sentences.append(onset_sentence(assessment.onset, assessment.trained))
    if assessment.severity is not None:
        sentences.append(_severity(assessment, assessment.severity))
    if assessment.onset is not None:
        sentences += harm(assessment.costs, assessment.cost_reference, assessment.last_over_memorized)
        sentences += privacy_sentences(assessment.privacy, assessment.cost_reference)
    if assessment.best is not None and assessment.best_of_run:
        sentences.append(_advice(assessment.best, ships=assessment.is_worth_shipping))
    if assessment.recommended is not None:
        sentences += _regrets(assessment, assessment.recommended)
        sentences += _still_over_memorized(assessment, assessment.recommended)
    if assessment.onset is not None or (assessment.trained and REGIMES[assessment.regime].is_unhealthy):
        sentences.append(ONE_SEED)
    return tuple(sentences)


ONE_SEED = (
    "All of this is of one run, which is one seed: the same recipe can end otherwise on another. Train it on several "
    "before the recipe is blamed; `overmem compare` takes them with --seeds-a and --seeds-b."
)
"""Said once, where something is held against a run."""


def _end(last: CheckpointVerdict) -> str:
    return f"At its end ({last.checkpoint.name}) the run is {last.regime}. {last.reason}"


def _on_test(regime: str, on_test: CheckpointVerdict | None) -> str:
    """Whether test says the same; empty where one of the two is not judged, or val decides nothing."""
    if on_test is None or not on_test.is_judged or regime == "undecided":
        return ""
    n = parenthetical(format_n(on_test.accuracy.n))
    if on_test.regime == regime:
        return f" Test, judged by itself, says the same{n}."
    if on_test.regime == "undecided":
        leaning = on_test.leaning
        leans = "" if leaning is None else f"; it leans to {leaning.regime} ({leaning.probability:.2f})"
        return f" Test, judged by itself, does not decide it{n}{leans}."
    return f" Test, judged by itself, says {on_test.regime}{n}."


def onset_sentence(onset: Onset, trained: Sequence[CheckpointVerdict] = ()) -> str:
    """Where over-memorization is first shown, when it began, and why its interval may reach before a healthy one."""
    return f"{_onset(onset)}{_reaches_back(onset, trained)}"


def _reaches_back(onset: Onset, trained: Sequence[CheckpointVerdict]) -> str:
    names = [v.checkpoint.name for v in trained]
    before = trained[: names.index(onset.checkpoint)] if onset.checkpoint in names else ()
    healthy = next((v.checkpoint for v in reversed(before) if v.regime.startswith("healthy")), None)
    if healthy is None or onset.step.low is None or onset.step.low >= healthy.step:
        return ""
    return (
        f" The interval is of the trend and reaches back before {healthy.name}, which is itself shown to be healthy: "
        "a single checkpoint may lie below the trend."
    )


def _onset(onset: Onset) -> str:
    text = f"Over-memorization is first shown at {onset.checkpoint}"
    step = onset.step
    if step.value is None:
        return f"{text}."
    interval = format_interval(step.low, step.high, ",.0f")
    text += f"; it began near step {step.value:,.0f}{parenthetical(interval, format_n(step.n))}"
    also = [
        f"{unit} {crossing.value:{form}}{_between(crossing, form)}"
        for unit, crossing, form in (
            ("epoch", onset.epoch, ".1f"),
            ("a cumulative learning rate (summed over the steps) of", onset.cumulative_lr, ".3g"),
        )
        if crossing.value is not None
    ]
    return f"{text}, that is {' and '.join(also)}." if also else f"{text}."


def _between(estimate: Estimate, form: str) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f" ({estimate.low:{form}} to {estimate.high:{form}})"


def _severity(assessment: Assessment, severity: Severity) -> str:
    excess = severity.excess
    if excess.value is None:
        return f"How much less likely the reference solutions have become was not measured at {severity.checkpoint}."
    digits = decimals_of(*(v.nll.value for v in assessment.verdicts))
    shown = parenthetical(format_interval(excess.low, excess.high, f".{digits}f"), format_n(excess.n))
    if assessment.from_curves:
        return _logged_severity(severity, excess.value, excess.low, shown, digits)
    where = "On test" if assessment.is_confirmed else "On val"
    if excess.low is not None and excess.low <= 0:
        return (
            f"{where}, the reference solutions are not shown to be less likely under {severity.checkpoint} than under "
            f"{severity.minimum}, where perplexity is lowest: the difference is {excess.value:+.{digits}f} nats{shown}."
        )
    sentences = [
        f"{where}, a token of the reference solutions is {excess.value:.{digits}f} nats (log probability) less likely "
        f"under {severity.checkpoint} than under {severity.minimum}, where perplexity is lowest{shown}"
        f"{_times(': its perplexity is {} times as high', excess.value)}."
    ]
    scale, agree = severity.scale_share, severity.agree_share
    if scale.value is not None:
        part = _part(scale, scale.value)
        sentences.append(f"{part} of the rise is overconfidence that one temperature for all tokens would undo.")
    if agree.value is not None:
        other = "lies on tokens where the model would have written another word"
        if agree.value < -0.0005:
            sentences.append(f"All of the rise {other}; the other tokens have even grown likelier.")
        else:
            low, high = (None if end is None else 1 - end for end in (agree.high, agree.low))
            sentences.append(f"{_part(Estimate(1 - agree.value, low, high), 1 - agree.value)} of the rise {other}.")
    return " ".join(sentences)


def _logged_severity(severity: Severity, rise: float, low: float | None, shown: str, digits: int) -> str:
    """Of a loss that may be a classifier's as well: no tokens are spoken of."""
    if low is not None and low <= 0:
        return (
            f"As logged, the loss at {severity.checkpoint} is not shown to be higher than at {severity.minimum}, where "
            f"it is lowest: the difference is {rise:+.{digits}f} nats{shown}."
        )
    return (
        f"As logged, the loss at {severity.checkpoint} is {rise:.{digits}f} nats higher than at {severity.minimum}, "
        f"where it is lowest{shown}{_times(': a perplexity {} times as high', rise)}."
    )


def _times(words: str, rise: float) -> str:
    """The words with the ratio of two perplexities in them; empty where that would be 1.00."""
    return words.format(f"{exp(rise):.2f}") if rise >= 0.005 else ""


def _part(share: Estimate, value: float) -> str:
    if value < 0.0005:
        return "None"
    if value > 0.9995:
        return "All"
    low, high = (None if end is None else min(max(end, 0.0), 1.0) for end in (share.low, share.high))
    return f"{percent(value)}{parenthetical(format_interval(low, high, '.1f', 100))}"


def _advice(best: Choice, *, ships: bool) -> str:
    accuracy = best.accuracy
    lead = "Recommended is" if ships else "None is recommended. The best of the run is"
    text = f"{lead} {best.checkpoint}: {best.reason}"
    if accuracy.value is None:
        return f"{text}. It was not measured on test."
    shown = parenthetical(format_interval(accuracy.low, accuracy.high, ".1f", 100), format_n(accuracy.n))
    if best.is_confirmed:
        return f"{text}. On test, which had no part in the choice, its accuracy is {percent(accuracy.value)}{shown}."
    where = "As logged," if best.measured_on == "log" else "On val, where it was chosen,"
    return f"{text}. {where} its accuracy is {percent(accuracy.value)}{shown}."


USUAL = {
    "last": "the last one",
    "min-nll": "the one of lowest perplexity",
    "max-accuracy": "the most accurate one{}",
    "merge": "the best merge{}",
    "trainer": "the trainer's own best model",
}
"""The rules that people follow, `{}` for where they look; the verdict says what each would have cost."""


def _regrets(assessment: Assessment, recommended: Choice) -> list[str]:
    """What the usual rules would have cost, a sentence for each checkpoint that they pick."""
    picks: dict[str, list[Choice]] = {}
    for choice in assessment.choices:
        is_other = choice.checkpoint not in (None, recommended.checkpoint)
        if choice.rule in USUAL and is_other and choice.regret.value is not None:
            picks.setdefault(choice.checkpoint or "", []).append(choice)
    return [_regret(name, chosen, recommended.nll) for name, chosen in picks.items()]


def _regret(name: str, chosen: Sequence[Choice], shipped_nll: Estimate) -> str:
    regret = chosen[0].regret
    text = f"Shipping {name} instead ({listed([_rule(c) for c in chosen])}) would "
    if regret.value is None or abs(regret.value) < 0.0005:
        text += f"leave accuracy as it is{_spread(regret)}"
    else:
        text += f"{'cost' if regret.value > 0 else 'gain'} {points(regret.value)} of accuracy{_spread(regret)}"
        if is_within_noise(regret):
            text += ", which is within noise"
    return f"{text}{_nll(chosen[0].nll, shipped_nll)}."


def _rule(choice: Choice) -> str:
    if choice.measured_on != "log":
        return USUAL[choice.rule].format(" on val")
    is_level = choice.regret.value is not None and abs(choice.regret.value) < 0.0005
    return (
        "the first of the most accurate"
        if choice.rule == "max-accuracy" and is_level
        else USUAL[choice.rule].format("")
    )


def _spread(regret: Estimate) -> str:
    if regret.low is None or regret.high is None:
        return ""
    interval = f"95% interval {signed_points(-regret.high)} to {signed_points(-regret.low)} points"
    return parenthetical(interval, format_n(regret.n))


def _nll(nll: Estimate, shipped: Estimate) -> str:
    if nll.value is None or shipped.value is None:
        return ""
    unit = "nats per token" if nll.n else "nats"
    digits = decimals_of(nll.value, shipped.value)
    return f"; its nll is {nll.value:.{digits}f} {unit}, against {shipped.value:.{digits}f}"


def _still_over_memorized(assessment: Assessment, recommended: Choice) -> list[str]:
    """What to do where the recommended checkpoint is itself over-memorized."""
    shipped, healthy = assessment.best_of_run, assessment.healthy
    if assessment.regimes.get(shipped) != "over-memorized":
        return []
    cure = "Merging it with an earlier one, or training with another loss or a smaller learning rate, may give both."
    if healthy is None or healthy.regret.value is None:
        return [f"{shipped} is itself over-memorized, and there is no healthy one to ship in its place. {cure}"]
    regret = healthy.regret.value
    size = f"{points(regret)} {'less' if regret >= 0 else 'more'}"
    where = "as logged" if healthy.measured_on == "log" else f"on {healthy.measured_on}"
    return [
        f"{shipped} is itself over-memorized. The most accurate healthy checkpoint, {healthy.checkpoint}, is "
        f"{size} accurate {where}{_spread(healthy.regret)}{_nll(healthy.nll, recommended.nll)}. {cure}"
    ]
