"""The verdict in one sentence: what to ship, and why."""

from collections.abc import Mapping
from typing import Any

from overmem.records import CheckpointVerdict
from overmem.verdict.assess import Assessment
from overmem.wording.numbers import format_count, points
from overmem.wording.reasons import hopeless


def headline(known: Assessment) -> str:
    """What to do, and why; where the data cannot tell, what is certain and what would decide."""
    name = known.shipped
    if not name:
        unseen = not any(_judged(v) for v in known.trained)
        why = "none has both perplexity and accuracy" if unseen else "none that was judged is on disk"
        since = f"; {_since(known)} the run is over-memorized" if known.onset else ""
        return f"No checkpoint can be recommended, because {why}{since}."
    last = known.trained[-1] if known.trained else None
    ship = f"Ship {name}"
    if known.recommended is not None and known.recommended.rule == "merge":
        ship += ", a merge that is better than every single checkpoint"
    elif last is not None and name == last.checkpoint.name:
        ship += ", the last checkpoint"
    if last is None:
        return f"{ship}."
    if known.mismatch and last.evidence.get("costly"):
        return (
            f"{ship}: perplexity rises, but val and train are not one distribution, so it is not called memorization."
        )
    if known.onset:
        return f"{ship}{_over_memorized(known, last)}"
    return f"{ship}{_otherwise(known, last)}"


def _judged(verdict: CheckpointVerdict) -> bool:
    return verdict.nll.value is not None and verdict.accuracy.value is not None


def _since(known: Assessment) -> str:
    step = known.onset.get("step")
    if step is not None and step.value is not None:
        return f"from about step {step.value:,.0f} on"
    return f"from {known.onset['checkpoint']} on"


def _over_memorized(known: Assessment, last: CheckpointVerdict) -> str:
    end = {"over-fitted": ", and over-fitted at its end", "undecided": " (at its very end undecided)"}.get(
        last.regime, ""
    )
    if known.regimes.get(known.shipped) != "over-memorized":
        return f": {_since(known)} the run is over-memorized{end}{_harm(known)}."
    healthy = known.healthy
    if healthy is None:
        why = "no healthy checkpoint is as accurate"
    elif (less := healthy.regret.value or 0.0) >= 0.0005:
        why = f"the best healthy one, {healthy.checkpoint}, solves {points(less)} less"
    else:
        why = f"on val the best healthy one, {healthy.checkpoint}, looks less accurate"
    return f", although the run is over-memorized {_since(known)}{end}: {why}."


def _harm(known: Assessment) -> str:
    confirmed = [c.name for c in known.costs if c.confirmed]
    if confirmed:
        more = f" and {len(confirmed) - 2} more" if len(confirmed) > 2 else ""
        return f", and that is shown to do harm: {', '.join(confirmed[:2])}{more}"
    return ", though no harm is shown" if known.costs else ", though its harm was not measured"


def _otherwise(known: Assessment, last: CheckpointVerdict) -> str:
    is_last = known.shipped == last.checkpoint.name
    if last.regime == "healthy":
        growing = len(known.trained) > 1 and known.trained[-2].regime == "under-trained"
        if growing and is_last:
            return ": the run is healthy and was still improving when it ended, so more training may help."
        end = ", so the last one would do as well"
        return f": the run is healthy to its end{'' if is_last else end}."
    if last.regime == "over-fitted":
        return ": by the end of the run accuracy has fallen and perplexity has risen (over-fitted)."
    if len(known.trained) == 1:
        return ": it is the only one, so there is nothing to compare it with."
    if not _judged(last):
        return f": the end of the run ({last.checkpoint.name}) was not judged, because something is missing there."
    return f"{',' if is_last else ''}{_undecided(last.evidence)}"


def _undecided(e: Mapping[str, Any]) -> str:
    if not e.get("solvable", True):
        return ", if any: almost nothing is solved, so check first that answers are read correctly."
    if e["lower"] and e["cheap"]:
        return ": by the end of the run accuracy has fallen, although perplexity has not risen."
    sure = {
        "perplexity is costly": e["costly"],
        "perplexity is near its minimum": e["cheap"],
        "accuracy is kept": e["kept"],
        "accuracy is lower": e["lower"],
    }
    certain = " and ".join(words for words, is_sure in sure.items() if is_sure)
    asks = [] if e["kept"] or e["lower"] else ["accuracy is kept"]
    asks += [] if e["costly"] or e["cheap"] else ["perplexity is costly"]
    counts = [e[key] for key in ("examples_for_accuracy", "examples_for_nll") if key in e]
    few = f"{e['n']:,} examples" if e["n"] else "the logged curves"
    decide = bool(counts) and not any(hopeless(c, e["n"]) for c in counts)
    could = f"; about {format_count(max(counts))} could" if decide else ""
    begin = f"at the end of the run {certain}, but" if certain else "at the end of the run"
    return f" for now: {begin} {few} cannot tell whether {' or whether '.join(asks)}{could}."
