"""Finds the evaluations among the rows of a log, their evaluation sets and steps."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from overmem.errors import BadRequest
from overmem.store.logs.metrics import EPOCHS, RATES, STEPS, fold, metric_of
from overmem.store.logs.rows import LogPart, Row, number

CHOSEN_NLL, CHOSEN_ACCURACY = "chosen nll", "chosen accuracy"
"""Internal names of the metrics that the user named."""
_MAX_STEP = 1e15
_TRAINING_LOSS = ("train_loss", "training_loss")


@dataclass(frozen=True)
class Names:
    """Metrics named by the user, for logs with unusual names."""

    nll: str = ""
    accuracy: str = ""


@dataclass
class Evaluation:
    """The metrics of one evaluation set at one step."""

    step: int
    epoch: float | None
    values: dict[str, float]
    after_training: bool = False
    row: Row = field(default_factory=dict)


@dataclass
class Timeline:
    """Everything that one run logged, in order."""

    sets: dict[str, list[Evaluation]] = field(default_factory=dict)
    """Name of the evaluation set -> its evaluations in the order logged."""
    callback_sets: set[str] = field(default_factory=set)
    """Sets that overmem's callback evaluated."""
    sizes: dict[tuple[str, str], int] = field(default_factory=dict)
    """(set, metric) -> number of examples, where it was logged."""
    rates: dict[int, float] = field(default_factory=dict)
    """Step -> learning rate."""
    nan_from: int | None = None
    """First step from which on the training loss is not a number to the end; None if the last one is a number."""
    logged: dict[str, str] = field(default_factory=dict)
    """Every numeric name -> its name in DIRECTIONS; empty if it is not one of them."""
    unit: str = "checkpoint"
    """What is counted: `checkpoint` for steps, else `epoch` or `evaluation`."""
    notes: list[str] = field(default_factory=list)


def timeline_of(parts: Sequence[LogPart], names: Names) -> Timeline:
    """The evaluations of one run, from all the files that belong to it."""
    timeline = Timeline(notes=[note for part in parts for note in part.notes])
    has_training_rows = any(fold(key) == "loss" for part in parts for row in part.rows for key in row)
    for part in parts:
        axis = _axis(part.rows)
        step_of_epoch = _steps_of_epochs(part.rows) if axis == "epoch" else {}
        if axis in ("epoch", "") and part.rows:
            timeline.unit = "epoch" if axis and all(e == int(e) for e in step_of_epoch) else "evaluation"
            timeline.notes.append(f"{part.path.name} logs no step: {timeline.unit}s are counted instead, from 1.")
        has_ended = False
        for i, row in enumerate(part.rows, 1):
            folded = {fold(key): key for key in row}
            step = _step(row, folded, axis, i, step_of_epoch)
            if step is None:
                continue
            rate = next((r for n in RATES if n in folded and (r := number(row[folded[n]])) is not None), None)
            if rate is not None and math.isfinite(rate):
                timeline.rates[step] = rate
            _update_nan_from(timeline, row, folded, step)
            has_bare_names = not has_training_rows and _may_have_bare_names(row)
            _add(timeline, row, step, names, has_bare_names=has_bare_names, after_training=has_ended)
            has_ended = has_ended or "train_runtime" in folded
    return timeline


def _axis(rows: Sequence[Row]) -> str:
    """The folded name of the column that counts time: a step, `epoch`, or empty if there is neither."""
    evaluated = _evaluated(rows)
    for name in STEPS:
        if any(name in map(fold, row) for row in evaluated or rows):
            return name
    return "epoch" if any(name in map(fold, row) for row in evaluated or rows for name in EPOCHS) else ""


def _evaluated(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if any((m := metric_of(k)) and m.direction.kind != "other" for k in row)]


def _steps_of_epochs(rows: Sequence[Row]) -> dict[float, int]:
    """Logged epoch -> the count used as its step: of epochs from 1, or of evaluations if some epochs are fractions."""
    epochs = sorted({e for row in _evaluated(rows) if (e := _epoch(row)) is not None})
    if all(e == int(e) for e in epochs):
        first = 1 if epochs and epochs[0] <= 0 else 0
        return {e: int(e) + first for e in epochs}
    return {e: i for i, e in enumerate(epochs, 1)}


def _epoch(row: Row) -> float | None:
    value = next((number(row[k]) for k in row if fold(k) in EPOCHS), None)
    return value if value is not None and abs(value) < _MAX_STEP else None


def _step(row: Row, folded: dict[str, str], axis: str, row_number: int, steps: dict[float, int]) -> int | None:
    if axis == "":
        return row_number
    if axis == "epoch":
        epoch = _epoch(row)
        return None if epoch is None else steps.get(epoch)
    raw = row.get(folded.get(axis, ""))
    value = number(raw.split("/")[0] if isinstance(raw, str) else raw)
    return int(value) if value is not None and abs(value) < _MAX_STEP else None


def _may_have_bare_names(row: Row) -> bool:
    """Whether names without a prefix may be of an evaluation, because the row is not about a training batch."""
    names = [fold(key) for key in row]
    evaluated = any((m := metric_of(k)) and m.is_evaluation and m.direction.kind != "other" for k in row)
    return evaluated or not any(name in _TRAINING_LOSS for name in names)


def _update_nan_from(timeline: Timeline, row: Row, folded: dict[str, str], step: int) -> None:
    loss = next((number(row[folded[n]]) for n in ("loss", "train_loss") if n in folded), None)
    if loss is None or "train_runtime" in folded:
        return
    if math.isfinite(loss):
        timeline.nan_from = None
    elif timeline.nan_from is None:
        timeline.nan_from = step


def _named_values(row: Row, names: Names) -> dict[str, float]:
    """The values of the metrics that the user named, under their internal names."""
    named = [(CHOSEN_NLL, names.nll), (CHOSEN_ACCURACY, names.accuracy)]
    values = {}
    for key, raw in row.items():
        value = number(raw)
        for label, name in named:
            if name and value is not None and name in (key, fold(key)):
                values[label] = value
    return values


def _add(timeline: Timeline, row: Row, step: int, names: Names, *, has_bare_names: bool, after_training: bool) -> None:
    """Add the evaluations in one row, one per evaluation set.

    Args:
        timeline: what they are added to.
        row: one entry of the log.
        step: its step.
        names: the metrics that the user named.
        has_bare_names: whether names without a prefix are those of an evaluation.
        after_training: whether the row was logged after training had ended.
    """
    named = _named_values(row, names)
    values_of: dict[str, dict[str, float]] = {"": named} if named else {}  # evaluation set -> metric -> value
    prefixed: set[tuple[str, str]] = set()  # values of names with a prefix, which bare names do not replace
    for key, raw in row.items():
        value, metric = number(raw), metric_of(key)
        if value is None:
            continue
        is_recognized = metric is not None and metric.direction.kind != "other"
        timeline.logged.setdefault(key, metric.name if metric is not None and is_recognized else "")
        if metric is None or not is_recognized or not (metric.is_evaluation or has_bare_names):
            continue
        identity = (metric.evaluation_set, metric.name)
        if metric.by_callback:
            timeline.callback_sets.add(metric.evaluation_set)
        if metric.bound == "n" and 0 < value < 1e12:
            timeline.sizes[identity] = int(value)
        if metric.bound or (identity in prefixed and not metric.is_evaluation):
            continue
        values_of.setdefault(metric.evaluation_set, {})[metric.name] = value
        if metric.is_evaluation:
            prefixed.add(identity)
    epoch = float(step) if timeline.unit == "epoch" else _epoch(row)
    for evaluation_set, values in values_of.items():
        timeline.sets.setdefault(evaluation_set, []).append(Evaluation(step, epoch, values, after_training, row))


def without_reloaded(evaluations: list[Evaluation], best_step: int | None) -> tuple[list[Evaluation], str]:
    """The evaluations, without the last one if the trainer had reloaded its best model before it; and a note.

    Such a row is logged at the step where training ended, but its values are those of the best checkpoint.
    """
    if len(evaluations) < 2:
        return evaluations, ""
    last, before = evaluations[-1], evaluations[:-1]
    comparable = [e for e in before if e.values.keys() & last.values.keys()]
    at_same_step = next((e for e in reversed(comparable) if e.step == last.step), None)
    if at_same_step is None and not last.after_training:
        return evaluations, ""
    if at_same_step is not None and _distance(last, at_same_step) < 1e-9:
        return evaluations, ""
    earlier = [e for e in comparable if e.step < last.step]
    best = next((e for e in reversed(earlier) if e.step == best_step), None)
    limit = 1e-3 if at_same_step is None else _distance(last, at_same_step)
    reloaded = min(earlier, key=lambda e: _distance(last, e), default=None)
    if best is not None and _distance(last, best) < limit:
        reloaded = best
    elif reloaded is None or _distance(last, reloaded) > 1e-6:
        return evaluations, ""
    return before, (
        f"The last evaluation, logged at step {last.step:,}, repeats that of step {reloaded.step:,}: the trainer had "
        f"reloaded its best model, so it was counted for checkpoint-{reloaded.step}, not for the end of the run."
    )


def _distance(a: Evaluation, b: Evaluation) -> float:
    """The largest relative difference of a metric that both have; infinite if there is none."""
    shared = [k for k in a.values.keys() & b.values.keys() if math.isfinite(a.values[k]) and math.isfinite(b.values[k])]
    if not shared:
        return math.inf
    return max(abs(a.values[k] - b.values[k]) / max(abs(a.values[k]), abs(b.values[k]), 1e-9) for k in shared)


def merged_by_step(evaluations: Sequence[Evaluation]) -> tuple[list[Evaluation], list[int]]:
    """One evaluation per step in time order, with the last value of each metric; and the steps with several values."""
    by_step: dict[int, Evaluation] = {}
    repeated: set[int] = set()
    for e in evaluations:
        if e.step not in by_step:
            by_step[e.step] = Evaluation(e.step, e.epoch, dict(e.values), e.after_training, e.row)
            continue
        into = by_step[e.step]
        shared = into.values.keys() & e.values.keys()
        if any(into.values[k] != e.values[k] for k in shared if not math.isnan(e.values[k])):
            repeated.add(e.step)
        into.values |= e.values
        into.epoch = e.epoch if e.epoch is not None else into.epoch
        into.row = {**into.row, **e.row}
    return [by_step[s] for s in sorted(by_step)], sorted(repeated)


def refuse_unknown(names: Names, logged: Iterable[str], where: str) -> None:
    """Refuse a metric that the user named but that was not logged.

    Raises:
        BadRequest: there is no such metric; the message lists the logged ones.
    """
    allowed = sorted(set(logged))
    for name in (names.nll, names.accuracy):
        if name and not any(name in (key, fold(key)) for key in allowed):
            raise BadRequest(f"unknown metric {name!r} in the curves of {where}; allowed: {', '.join(allowed)}")


def first_logged(evaluations: Sequence[Evaluation], names: Sequence[str]) -> Float[np.ndarray, " checkpoints"]:
    """The first of these metrics that each evaluation has; NaN where it has none."""
    return np.array([next((e.values[n] for n in names if n in e.values), math.nan) for e in evaluations])
