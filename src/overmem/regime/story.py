"""The verdict on a run in sentences that a person understands at first reading."""

from collections.abc import Mapping, Sequence
from typing import Any

from overmem.records import CheckpointVerdict, Choice, Cost, Estimate
from overmem.regime.words import percent, points

MEANING = {
    "under-trained": "accuracy is still below what the run can reach",
    "healthy": "accuracy is kept and perplexity is near its minimum",
    "over-memorized": "accuracy is kept, but the model has grown much less likely to write the reference solutions",
    "over-fitted": "accuracy has fallen and perplexity has risen",
    "undecided": "the examples cannot tell",
}


def run_regime(verdicts: Sequence[CheckpointVerdict], costs: Sequence[Cost], mismatched: bool) -> str:
    """The regime of the last trained checkpoint, with `signature only` where no cost is confirmed."""
    trained = [v for v in verdicts if v.checkpoint.step > 0 and not v.checkpoint.merged_from]
    if not trained:
        return "undecided"
    last = trained[-1].regime
    if last == "over-memorized" and mismatched:
        return "undecided"
    if last == "over-memorized" and not any(c.confirmed for c in costs):
        return "over-memorized (signature only)"
    return last


def headline(regime: str, recommended: Choice | None, onset: Mapping[str, Any], last: str) -> str:
    """What to do, and why, in one sentence."""
    if recommended is None or recommended.checkpoint is None:
        return "No checkpoint can be recommended: none has both perplexity and accuracy."
    ship = f"Ship {recommended.checkpoint}"
    if onset:
        since = f"from about step {_round(onset['step'])}" if "step" in onset else f"from {onset['checkpoint']}"
        harm = ", though no harm is confirmed" if "signature" in regime else ""
        return f"{ship}: {since} on the run is over-memorized{harm}."
    if recommended.checkpoint == last:
        return f"{ship}, the last checkpoint: {_why_last(regime)}."
    return f"{ship}: the last checkpoint is {regime} ({MEANING.get(regime, 'see below')})."


def _why_last(regime: str) -> str:
    if regime == "under-trained":
        return "training can go on, perplexity or accuracy still improves"
    if regime == "healthy":
        return "it is healthy"
    return f"its regime is {regime}, and no other is better"


def _round(estimate: Estimate) -> str:
    return f"{estimate.value:,.0f}" if estimate.value is not None else "?"


def sentences(
    regime: str,
    verdicts: Sequence[CheckpointVerdict],
    onset: Mapping[str, Any],
    severity: Mapping[str, Any],
    recommended: Choice | None,
    choices: Sequence[Choice],
    costs: Sequence[Cost],
    beside: str | None = None,
) -> tuple[str, ...]:
    """Regime, onset, severity, costs (measured against `beside`) and recommendation, a sentence or two each."""
    said = []
    trained = [v for v in verdicts if v.checkpoint.step > 0 and not v.checkpoint.merged_from]
    if trained:
        said.append(f"At the end of the run ({trained[-1].checkpoint.name}): {_lower(trained[-1].reason)}")
    if onset:
        said.append(onset_sentence(onset))
    if severity:
        said.append(_severity(severity))
    if "over-memorized" in regime:
        said.append(_costs(costs, beside))
    if recommended is not None and recommended.checkpoint is not None:
        said += _advice(recommended, choices)
        said += _still_over_memorized(recommended, verdicts)
    return tuple(said)


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


def _interval(estimate: Estimate, form: str = ",.0f") -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f" (95% interval {estimate.low:{form}} to {estimate.high:{form}})"


def onset_sentence(onset: Mapping[str, Any]) -> str:
    """Where over-memorization is first shown, and when it began."""
    text = f"Over-memorization is first shown at {onset['checkpoint']}"
    if (step := onset.get("step")) is not None and step.value is not None:
        text += f"; it began near step {step.value:,.0f}{_interval(step)}"
    if (epoch := onset.get("epoch")) is not None and epoch.value is not None:
        text += f", epoch {epoch.value:.1f}{_interval(epoch, '.1f')}"
    return text + "."


def _severity(severity: Mapping[str, Any]) -> str:
    excess = severity["excess"]
    text = f"The reference solutions cost {excess.value:.3f} nats per token more than at the minimum"
    text += _interval(excess, ".3f") + (f", n = {excess.n:,}" if excess.n else "")
    scale, agree = severity.get("scale_share"), severity.get("agree_share")
    if scale is not None and scale.value is not None:
        text += f"; {percent(scale.value)} of that is overconfidence that one temperature would undo"
    if agree is not None and agree.value is not None:
        where = "tokens where the model would have chosen another word"
        text += f", and {percent(1 - agree.value)} of it lies on {where}"
    return text + "."


def _costs(costs: Sequence[Cost], beside: str | None) -> str:
    if not costs:
        return (
            "Whether this does harm was not measured: no shifted, out-of-distribution or sampled answers were "
            "observed. A rise of perplexity alone can be harmless."
        )
    confirmed = [c for c in costs if c.confirmed]
    tested = ", ".join(c.name for c in costs)
    if not confirmed:
        return (
            f"No harm is confirmed: of {len(costs)} possible costs ({tested}) none is shown after Holm's correction. "
            "A rise of perplexity alone can be harmless."
        )
    return (
        "It does harm: "
        + "; ".join(_cost(c, beside) for c in confirmed)
        + f" (of {len(costs)} tested, Holm-corrected)."
    )


def _cost(cost: Cost, beside: str | None) -> str:
    d = cost.difference
    size = points(d.value or 0.0) if cost.name.startswith(("rob", "ood", "pass")) else f"{d.value:.3f}"
    p = "" if cost.p is None else f", p {'< 0.001' if cost.p < 0.001 else f'= {cost.p:.3f}'}"
    return f"{cost.name} is {size} worse at {cost.checkpoint} than at {beside or 'the recommended one'}{p}, n = {d.n:,}"


def _advice(recommended: Choice, choices: Sequence[Choice]) -> list[str]:
    accuracy = recommended.accuracy
    scored = "on test" if not accuracy.note else "on val, where it was chosen"
    said = []
    if accuracy.value is not None:
        interval = (
            f" (95% interval {percent(accuracy.low)} to {percent(accuracy.high)}, n = {accuracy.n:,})"
            if (accuracy.low is not None and accuracy.high is not None)
            else ""
        )
        said.append(
            f"Recommended is {recommended.checkpoint}, {recommended.reason}; it solves {percent(accuracy.value)} "
            f"{scored}{interval}."
        )
    for choice in choices:
        if choice.checkpoint == recommended.checkpoint or choice.regret.value is None:
            continue
        if choice.rule not in ("last", "min-nll", "max-accuracy"):
            continue
        said.append(_regret(choice))
    return said


def _still_over_memorized(recommended: Choice, verdicts: Sequence[CheckpointVerdict]) -> list[str]:
    """What to do where the recommended checkpoint is itself over-memorized."""
    named = {v.checkpoint.name: v for v in verdicts}
    shipped = named.get(recommended.checkpoint or "")
    if shipped is None or shipped.regime != "over-memorized":
        return []
    healthy = [v for v in verdicts if v.regime == "healthy" and v.checkpoint.step > 0]
    if not healthy:
        return [
            "It is itself over-memorized: every checkpoint of lower perplexity solves less. Merging it with an "
            "earlier one, or training with another loss or a smaller learning rate, may give both."
        ]
    best = max(healthy, key=lambda v: v.accuracy.value or 0.0)
    gap = points((shipped.accuracy.value or 0.0) - (best.accuracy.value or 0.0))
    return [
        f"It is itself over-memorized; the most accurate healthy checkpoint is {best.checkpoint.name}, {gap} less "
        "accurate on val."
    ]


def _regret(choice: Choice) -> str:
    regret = choice.regret
    name = {"last": "the last checkpoint", "min-nll": "lowest perplexity", "max-accuracy": "highest accuracy"}
    what = f"Choosing {name[choice.rule]} ({choice.checkpoint}) instead"
    value, low, high = regret.value or 0.0, regret.low, regret.high
    span = "" if low is None or high is None else f" (95% interval {100 * low:+.1f} to {100 * high:+.1f})"
    if low is not None and low > 0:
        return f"{what} would cost {points(value)} of accuracy{span}."
    if high is not None and high < 0:
        return f"{what} would gain {points(value)} of accuracy{span}."
    return (
        f"{what} would change accuracy by {-100 * value:+.1f} points, which is within noise{span and f', loss{span}'}."
    )


def warnings(
    verdicts: Sequence[CheckpointVerdict],
    recommended: Choice | None,
    *,
    unsure: str,
    selected_on: str,
    confirmed: bool,
    gone: Sequence[str],
) -> tuple[str, ...]:
    """What the reader must know before believing the rest."""
    said = [unsure] if unsure else []
    if selected_on != "val":
        said.append("There is no val split: checkpoints were judged and chosen on test, which flatters the choice.")
    elif not confirmed:
        said.append("There is no test split: the choice was not confirmed on other examples.")
    if gone:
        said.append(f"Audited, but no longer on disk, so not recommended: {', '.join(gone)}.")
    lost = [v.checkpoint.name for v in verdicts if v.nll.value is None or v.accuracy.value is None]
    if lost:
        said.append(f"Not judged, because something was not measured there: {', '.join(lost)}.")
    base = next((v for v in verdicts if v.checkpoint.step == 0), None)
    shipped = next((v for v in verdicts if recommended and v.checkpoint.name == recommended.checkpoint), None)
    if base is None or shipped is None or base.accuracy.value is None or shipped.accuracy.value is None:
        return tuple(said)
    if (base.accuracy.low or 0.0) > (shipped.accuracy.high or 1.0):
        said.append("The base model is more accurate than any checkpoint: this training did harm.")
    elif base.accuracy.value >= shipped.accuracy.value:
        said.append("No checkpoint is shown to be more accurate than the base model.")
    return tuple(said)
