"""The verdict on a run in sentences that a person understands at first reading."""

from collections.abc import Mapping, Sequence
from math import exp
from typing import Any

from overmem.records import CheckpointVerdict, Choice, Estimate
from overmem.verdict.assess import Assessment
from overmem.wording.harm import harm
from overmem.wording.numbers import format_interval, format_n, parenthetical, percent, points

MEANING = {
    "under-trained": "accuracy is still below what the run can reach",
    "healthy": "accuracy is kept and perplexity is near its minimum",
    "over-memorized": "accuracy is kept, but the model has grown much less likely to write the reference solutions",
    "over-fitted": "accuracy has fallen and perplexity has risen",
    "undecided": "the examples cannot tell",
}


def verdict_sentences(known: Assessment) -> tuple[str, ...]:
    """Regime, onset, severity, costs and recommendation, a sentence or two each."""
    said = [known.mismatch] if known.mismatch else []
    if known.trained:
        said.append(_end(known.trained[-1]))
    if known.onset:
        said.append(onset_sentence(known.onset))
    if known.severity:
        said.append(_severity(known))
    if known.onset:
        said += harm(known.costs, known.beside, known.late)
    if known.recommended is not None and known.shipped:
        said.append(_advice(known.recommended))
        said += _regrets(known)
        said += _still_over_memorized(known)
    return tuple(said)


def _end(last: CheckpointVerdict) -> str:
    return f"At its end ({last.checkpoint.name}) the run is {last.regime}. {last.reason}"


def onset_sentence(onset: Mapping[str, Any]) -> str:
    """Where over-memorization is first shown, and when it began."""
    text = f"Over-memorization is first shown at {onset['checkpoint']}"
    step, epoch, rate = (onset.get(name) for name in ("step", "epoch", "cumulative_lr"))
    if step is None or step.value is None:
        return f"{text}."
    interval = format_interval(step.low, step.high, ",.0f")
    text += f"; it began near step {step.value:,.0f}{parenthetical(interval, format_n(step.n))}"
    also = [
        f"{what} {at.value:{form}}{_between(at, form)}"
        for what, at, form in (
            ("epoch", epoch, ".1f"),
            ("a cumulative learning rate (summed over the steps) of", rate, ".3g"),
        )
        if at is not None and at.value is not None
    ]
    return f"{text}, that is {' and '.join(also)}." if also else f"{text}."


def _between(at: Estimate, form: str) -> str:
    return "" if at.low is None or at.high is None else f" ({at.low:{form}} to {at.high:{form}})"


def _severity(known: Assessment) -> str:
    severity, excess = known.severity, known.severity["excess"]
    where = "On test" if known.tested else "On val" if excess.n else "As logged"
    text = (
        f"{where}, a token of the reference solutions is {excess.value:.3f} nats (log probability) less likely under "
        f"{known.late} than under {known.minimum}, where perplexity is lowest"
    )
    text += parenthetical(format_interval(excess.low, excess.high), format_n(excess.n))
    said = [f"{text}: its perplexity is {exp(excess.value or 0.0):.2f} times as high."]
    scale, agree = severity.get("scale_share"), severity.get("agree_share")
    if scale is not None and scale.value is not None:
        said.append(f"{_part(scale)} of the rise is overconfidence that one temperature for all tokens would undo.")
    if agree is not None and agree.value is not None:
        other = "lies on tokens where the model would have written another word"
        if agree.value < -0.0005:
            said.append(f"All of the rise {other}; the other tokens have even grown likelier.")
        else:
            low, high = (None if x is None else 1 - x for x in (agree.high, agree.low))
            said.append(f"{_part(Estimate(1 - agree.value, low, high))} of the rise {other}.")
    return " ".join(said)


def _part(share: Estimate) -> str:
    value = share.value or 0.0
    size = "None" if value < 0.0005 else "All" if value > 0.9995 else percent(value)
    return (
        size
        if size in ("None", "All")
        else f"{size}{parenthetical(format_interval(share.low, share.high, '.1f', 100))}"
    )


def _advice(recommended: Choice) -> str:
    accuracy = recommended.accuracy
    text = f"Recommended is {recommended.checkpoint}: {recommended.reason}"
    if accuracy.value is None:
        return f"{text}. It was not measured on test."
    shown = parenthetical(format_interval(accuracy.low, accuracy.high, ".1f", 100), format_n(accuracy.n))
    if recommended.is_confirmed:
        return f"{text}. On test, which had no part in the choice, it solves {percent(accuracy.value)}{shown}."
    where = "On val, where it was chosen," if accuracy.n else "As logged,"
    return f"{text}. {where} it solves {percent(accuracy.value)}{shown}."


USUAL = {
    "last": "the last one",
    "min-nll": "the one of lowest perplexity",
    "max-accuracy": "the most accurate one on val",
    "merge": "the best merge on val",
}
"""The rules that people follow, of which it is said what they would have cost."""


def _regrets(known: Assessment) -> list[str]:
    """What the usual rules would have cost, a sentence for each checkpoint that they pick."""
    picks: dict[str, list[Choice]] = {}
    for choice in known.choices:
        if choice.rule in USUAL and choice.checkpoint not in (None, known.shipped) and choice.regret.value is not None:
            picks.setdefault(choice.checkpoint or "", []).append(choice)
    held = known.recommended.nll if known.recommended is not None else Estimate(None)
    return [_regret(name, chosen, held) for name, chosen in picks.items()]


def _regret(name: str, chosen: Sequence[Choice], held: Estimate) -> str:
    regret, nll = chosen[0].regret, chosen[0].nll
    value, low, high = regret.value or 0.0, regret.low, regret.high
    text = f"Shipping {name} instead ({' and '.join(USUAL[c.rule] for c in chosen)}) would "
    if abs(value) < 0.0005:
        text += "leave accuracy as it is"
    else:
        text += f"{'cost' if value > 0 else 'gain'} {points(value)} of accuracy"
    text += _spread(regret)
    if low is not None and high is not None and low <= 0 <= high and abs(value) >= 0.0005:
        text += ", which is within noise"
    return f"{text}{_nll(nll, held)}."


def _spread(regret: Estimate) -> str:
    if regret.low is None or regret.high is None:
        return ""
    return parenthetical(f"95% interval {_signed(regret.low)} to {_signed(regret.high)}", format_n(regret.n))


def _nll(nll: Estimate, held: Estimate) -> str:
    if nll.value is None or held.value is None:
        return ""
    return f"; its nll is {nll.value:.3f} nats per token, against {held.value:.3f}"


def _signed(value: float) -> str:
    """A regret in words: positive is lost.

    >>> _signed(0.012), _signed(-0.005), _signed(0.0)
    ('1.2 lost', '0.5 gained', '0.0')
    """
    size = f"{abs(100 * value):.1f}"
    return size if size == "0.0" else f"{size} {'lost' if value > 0 else 'gained'}"


def _still_over_memorized(known: Assessment) -> list[str]:
    """What to do where the recommended checkpoint is itself over-memorized."""
    if known.regimes.get(known.shipped) != "over-memorized" or known.recommended is None:
        return []
    cure = "Merging it with an earlier one, or training with another loss or a smaller learning rate, may give both."
    healthy = known.healthy
    if healthy is None or healthy.regret.value is None:
        return [f"{known.shipped} is itself over-memorized, and there is no healthy one to ship in its place. {cure}"]
    regret = healthy.regret
    size = f"{points(regret.value or 0.0)} {'less' if (regret.value or 0.0) >= 0 else 'more'}"
    where = "on val" if healthy.accuracy.note else "on test"
    return [
        f"{known.shipped} is itself over-memorized. The most accurate healthy checkpoint, {healthy.checkpoint}, solves "
        f"{size} {where}{_spread(regret)}{_nll(healthy.nll, known.recommended.nll)}. {cure}"
    ]
