"""What is to be said where only a trainer's log is known."""

from math import expm1

import numpy as np
from jaxtyping import Float

from overmem.records import CheckpointVerdict
from overmem.records.digits import decimals_of
from overmem.verdict.turning_point import TurningPoint
from overmem.wording.numbers import percent

_NO_ACCURACY = "No accuracy of answers was logged."
NOTHING_TO_JUDGE = (
    "Nothing can be judged by this log: it has no usable nll and no accuracy of answers. To measure the checkpoints: "
    "overmem audit RUN --data YOUR_DATA."
)
NOT_NLL = "Not judged: the logged loss is not plain nll, and no accuracy of answers was logged."
_MEANS = "That shows that the references have become less likely under the model."
_MEANS_LITTLE = (
    "As this loss is not plain nll, that does not show that the references have become less likely under the model."
)
_SOURCES = {
    "logged": "as logged with it",
    "evaluation speed": "from the duration and the speed of the evaluations",
    "digits": "the smallest number whose shares they can all be",
}


def loss_only_headline(turn: TurningPoint | None) -> str:
    """What a log without any accuracy of answers comes to, in one sentence."""
    if turn is None:
        return "Nothing can be chosen: the log has fewer than two evaluations with a loss, and no accuracy of answers."
    choice = f"Provisionally {turn.lowest.name}, by the loss alone"
    if turn.last.name == turn.lowest.name:
        return f"{choice}: it was lowest there, at the last evaluation. {_NO_ACCURACY}"
    if not turn.has_turned:
        return f"{choice}: it was lowest there, and what follows cannot be told from noise. {_NO_ACCURACY}"
    where = "there, at the first evaluation," if _is_first(turn) else "there"
    since = f"it was lowest {where} and has risen since"
    return f"{choice}: {since}. Whether answers got worse or better, only an audit can tell."


def _is_first(turn: TurningPoint) -> bool:
    return turn.lowest.name == turn.first.name


def turning_sentences(turn: TurningPoint | None, *, is_nll: bool = True) -> tuple[str, ...]:
    """Where the loss turned, what that can mean and what it cannot, and a provisional choice.

    Args:
        turn: None for fewer than two evaluations.
        is_nll: whether the loss is plain nll, as far as is known.
    """
    if turn is None:
        return ("One evaluation alone shows no trend.",)
    where = f"{turn.lowest.name} ({turn.nll:.4g} nats)"
    if turn.last.name == turn.lowest.name:
        return (
            f"The evaluation loss is lowest at the last evaluation, {where}: no turn was seen, {_outlook(turn)}.",
            f"Provisional choice, by the loss alone: {turn.lowest.name}.",
        )
    if not turn.has_turned:
        return (
            f"The evaluation loss is lowest at {where}; what follows cannot be told from noise ({_rise(turn)}).",
            f"Provisional choice, by the loss alone: {turn.lowest.name}.",
        )
    return (
        f"{_turned(turn, where)} ({_rise(turn)}{_grown(turn) if is_nll else ''}).",
        f"{_MEANS if is_nll else _MEANS_LITTLE} It does not show that answers get worse: after this point accuracy "
        "often still rises (over-memorization), or falls (over-fitting), and the loss looks the same.",
        f"Provisional choice, by the loss alone: {turn.lowest.name}. Before shipping, measure the answers of "
        f"{turn.lowest.name} and {turn.last.name}: `overmem audit RUN --data YOUR_DATA`.",
    )


def _outlook(turn: TurningPoint) -> str:
    """What a loss that is lowest at the last evaluation lets one expect."""
    if turn.level_since is None:
        return "so more training may still lower it"
    return f"but since {turn.level_since.name} it has not fallen by more than its noise"


def _turned(turn: TurningPoint, where: str) -> str:
    """Between which steps the loss turned, as far as its noise lets that be seen."""
    noise = f"its assumed noise of {turn.noise:.2g}" if turn.is_assumed else "its scatter"
    low, high = turn.step.low, turn.step.high
    if _is_first(turn):
        by = "" if high is None else f" or before step {high:,.0f}, allowing for {noise},"
        return f"The evaluation loss was lowest at the first evaluation, {where}{by} and has risen since"
    between = "" if low is None or high is None else f" (steps {low:,.0f} to {high:,.0f}, allowing for {noise})"
    return f"The evaluation loss turned at {where}{between} and has risen since"


def _rise(turn: TurningPoint) -> str:
    rise, form = turn.rise, f"+.{decimals_of(turn.nll)}f"
    if rise.value is None or rise.low is None or rise.high is None:
        return "rise unknown"
    return f"{rise.value:{form}} nats, 95% interval {rise.low:{form}} to {rise.high:{form}}"


def _grown(turn: TurningPoint) -> str:
    """How much higher the perplexity is; empty where the rise is not known, and where it is less than a percent."""
    rise = turn.rise.value
    if rise is None or rise < 0.01:
        return ""
    return f": a perplexity {100 * expm1(min(rise, 20.0)):,.0f}% higher"


def sample_size_sentence(metric: str, n: int | None, source: str, eval_rows: int | None) -> str:
    """How many examples are behind a logged accuracy, and how that is known; empty where it is not."""
    if eval_rows is not None or n is None:
        return ""
    text = f"{metric} is of {n:,} examples, {_SOURCES[source]}"
    if source == "digits":
        return f"{text}, with the binomial error of that many; if there are more, give --eval-rows."
    return f"{text}; --eval-rows overrides that."


def unchanged_sentence(
    count: int, loss: Float[np.ndarray, " checkpoints"], accuracy: Float[np.ndarray, " checkpoints"]
) -> str:
    """That nothing changed from one evaluation to the next, to the last digit; empty where something did."""
    if count < 3 or any(np.isfinite(x).sum() < count or len(set(x.tolist())) > 1 for x in (loss, accuracy)):
        return ""
    return (
        f"All {count} evaluations have the same loss and the same score to the last digit: what was evaluated did not "
        "change (frozen weights, a learning rate of 0, or the same checkpoint each time)."
    )


def other_set_sentence(
    name: str, last: CheckpointVerdict, turn: TurningPoint | None, *, score: str = "accuracy"
) -> str:
    """The verdict on one more evaluation set, in one sentence."""
    parts = [f"On {name!r} the run is {last.regime} at its end ({last.checkpoint.name})"]
    if turn is not None:
        parts.append(f"loss lowest at {turn.lowest.name} ({turn.nll:.4g}), since then {_rise(turn)}")
    if last.accuracy.value is not None:
        parts.append(f"{score} {percent(last.accuracy.value)} at the end")
    return f"{'; '.join(parts)}."


def trainers_choice_sentence(best: CheckpointVerdict | None, name: str | None, *, score: str = "accuracy") -> str:
    """Which checkpoint the trainer itself holds to be the best, with its figures; empty where it names none."""
    if name is None:
        return ""
    if best is None:
        return f"The trainer's own best checkpoint is {name}, which has no evaluation in this log."
    figures = [f"loss {best.nll.value:.4g}"] if best.nll.value is not None else []
    figures += [f"{score} {percent(best.accuracy.value)}"] if best.accuracy.value is not None else []
    return f"The trainer's own best checkpoint (best_model_checkpoint) is {name}: {', '.join(figures) or 'no figures'}."
