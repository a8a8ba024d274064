"""Finds the evaluations among the rows of a log, their evaluation sets and steps."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from overmem.errors import BadRequest
from overmem.store.logs.metrics import EPOCHS, RATES, STEPS, Metric, fold, metric_of
from overmem.store.logs.rows import LogPart, Row, number

CHOSEN_NLL, CHOSEN_ACCURACY = "chosen nll", "chosen accuracy"
"""Internal names of the metrics that the user named."""
_BEYOND = 1e15
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
    own: set[str] = field(default_factory=set)
    """Sets that overmem's callback evaluated."""
    sizes: dict[tuple[str, str], int] = field(default_factory=dict)
    """(set, metric) -> number of examples, where it was logged."""
    rates: dict[int, float] = field(default_factory=dict)
    """Step -> learning rate."""
    broken_at: int | None = None
    """First step from which on the training loss is not a number."""
    logged: dict[str, str] = field(default_factory=dict)
    """Every numeric name -> its name in DIRECTIONS; empty if it is unknown."""
    unit: str = "checkpoint"
    """What is counted: `checkpoint` for steps, else `epoch` or `evaluation`."""
    notes: list[str] = field(default_factory=list)


def timeline(parts: Sequence[LogPart], names: Names) -> Timeline:
    """The evaluations of one run, from all the files that belong to it."""
    made = Timeline(notes=[note for part in parts for note in part.notes])
    training = any(fold(key) == "loss" for part in parts for row in part.rows for key in row)
    for part in parts:
        axis = _axis(part.rows)
        places = _places(part.rows) if axis == "epoch" else {}
        if axis in ("epoch", "") and part.rows:
            made.unit = "epoch" if axis and all(e == int(e) for e in places) else "evaluation"
            made.notes.append(f"{part.path.name} logs no step: {made.unit}s are counted instead, from 1.")
        ended = False
        for i, row in enumerate(part.rows, 1):
            folded = {fold(key): key for key in row}
            step = _step(row, folded, axis, i, places)
            if step is None:
                continue
            rate = next((r for n in RATES if n in folded and (r := number(row[folded[n]])) is not None), None)
            if rate is not None and math.isfinite(rate):
                made.rates[step] = rate
            _note_broken(made, row, folded, step)
            _add(made, row, step, names, bare=not training and _may_be_bare(row), after=ended)
            ended = ended or "train_runtime" in folded
    return made


def _axis(rows: Sequence[Row]) -> str:
    """The folded name of the column that counts time."""
    evaluated = [row for row in rows if any((m := metric_of(k)) and m.direction.kind != "other" for k in row)]
    for name in STEPS:
        if any(name in map(fold, row) for row in evaluated or rows):
            return name
    return "epoch" if any(name in map(fold, row) for row in evaluated or rows for name in EPOCHS) else ""


def _places(rows: Sequence[Row]) -> dict[float, int]:
    """Each logged epoch -> the count that stands in for a step: epochs from 1, or evaluations if some are partial."""
    evaluated = [row for row in rows if any((m := metric_of(k)) and m.direction.kind != "other" for k in row)]
    epochs = sorted({e for row in evaluated if (e := _epoch(row)) is not None})
    if all(e == int(e) for e in epochs):
        first = 1 if epochs and epochs[0] <= 0 else 0
        return {e: int(e) + first for e in epochs}
    return {e: i for i, e in enumerate(epochs, 1)}


def _epoch(row: Row) -> float | None:
    value = next((number(row[k]) for k in row if fold(k) in EPOCHS), None)
    return value if value is not None and abs(value) < _BEYOND else None


def _step(row: Row, folded: dict[str, str], axis: str, place: int, places: dict[float, int]) -> int | None:
    if axis == "":
        return place
    if axis == "epoch":
        epoch = _epoch(row)
        return None if epoch is None else places.get(epoch)
    raw = row.get(folded.get(axis, ""))
    value = number(raw.split("/")[0] if isinstance(raw, str) else raw)
    return int(value) if value is not None and abs(value) < _BEYOND else None


def _may_be_bare(row: Row) -> bool:
    """Whether names without a prefix may be of an evaluation: in this row they are not those of a training batch."""
    names = [fold(key) for key in row]
    evaluated = any((m := metric_of(k)) and m.is_evaluation and m.direction.kind != "other" for k in row)
    return evaluated or not any(name in _TRAINING_LOSS for name in names)


def _note_broken(made: Timeline, row: Row, folded: dict[str, str], step: int) -> None:
    loss = next((number(row[folded[n]]) for n in ("loss", "train_loss") if n in folded), None)
    if loss is None or "train_runtime" in folded:
        return
    if math.isfinite(loss):
        made.broken_at = None
    elif made.broken_at is None:
        made.broken_at = step


def _add(made: Timeline, row: Row, step: int, names: Names, *, bare: bool, after: bool) -> None:
    epoch = _epoch(row)
    found: dict[str, dict[str, float]] = {}
    sure: set[tuple[str, str]] = set()
    for key, raw in row.items():
        value, metric = number(raw), metric_of(key)
        if value is None:
            continue
        chosen = [label for label, name in _labels(names) if name and name in (key, fold(key))]
        known = metric is not None and metric.direction.kind != "other"
        made.logged.setdefault(key, metric.name if known and metric is not None else "")
        for label in chosen:
            found.setdefault("", {})[label] = value
        if metric is None or not known or not (metric.is_evaluation or bare):
            continue
        _take(made, found, sure, metric, value)
    for name, values in found.items():
        made.sets.setdefault(name, []).append(Evaluation(step, epoch, values, after, row))


def _take(
    made: Timeline, found: dict[str, dict[str, float]], sure: set[tuple[str, str]], metric: Metric, value: float
) -> None:
    where = metric.evaluation_set
    if metric.own:
        made.own.add(where)
    if metric.bound:
        if metric.bound == "n" and 0 < value < 1e12:
            made.sizes[where, metric.name] = int(value)
        return
    if (where, metric.name) in sure and not metric.is_evaluation:
        return
    found.setdefault(where, {})[metric.name] = value
    if metric.is_evaluation:
        sure.add((where, metric.name))


def _labels(names: Names) -> Iterable[tuple[str, str]]:
    return (CHOSEN_NLL, names.nll), (CHOSEN_ACCURACY, names.accuracy)


def without_reloaded(evaluations: list[Evaluation], best_step: int | None) -> tuple[list[Evaluation], str]:
    """The evaluations without a last one that the trainer made after it had reloaded its best model; and a note.

    Such a row bears the step at which training ended, but its figures are those of the best checkpoint.
    """
    if len(evaluations) < 2:
        return evaluations, ""
    last, before = evaluations[-1], evaluations[:-1]
    same = next((e for e in reversed(before) if e.step == last.step and e.values.keys() & last.values.keys()), None)
    if same is None and not last.after_training:
        return evaluations, ""
    if same is not None and _distance(last, same) < 1e-9:
        return evaluations, ""
    earlier = [e for e in before if e.step < last.step and e.values.keys() & last.values.keys()]
    best = next((e for e in reversed(earlier) if e.step == best_step), None)
    twin = min(earlier, key=lambda e: _distance(last, e), default=None)
    if best is not None and (_distance(last, best) < (1e-3 if same is None else _distance(last, same))):
        twin = best
    elif twin is None or _distance(last, twin) > 1e-6:
        return evaluations, ""
    return before, (
        f"The last evaluation, logged at step {last.step:,}, is that of step {twin.step:,} again: the trainer had "
        f"reloaded its best model, so it was counted for checkpoint-{twin.step}, not for the end of the run."
    )


def _distance(a: Evaluation, b: Evaluation) -> float:
    shared = [k for k in a.values.keys() & b.values.keys() if math.isfinite(a.values[k]) and math.isfinite(b.values[k])]
    if not shared:
        return math.inf
    return max(abs(a.values[k] - b.values[k]) / max(abs(a.values[k]), abs(b.values[k]), 1e-9) for k in shared)


def merged(evaluations: Sequence[Evaluation]) -> tuple[list[Evaluation], list[int]]:
    """One evaluation per step in time order, the last value of each metric; and the steps that have several."""
    by_step: dict[int, Evaluation] = {}
    repeated: set[int] = set()
    for e in evaluations:
        if e.step not in by_step:
            by_step[e.step] = Evaluation(e.step, e.epoch, dict(e.values), e.after_training, e.row)
            continue
        into = by_step[e.step]
        if any(
            into.values[k] != e.values[k] for k in into.values.keys() & e.values.keys() if e.values[k] == e.values[k]
        ):
            repeated.add(e.step)
        into.values |= e.values
        into.epoch = e.epoch if e.epoch is not None else into.epoch
        into.row = {**into.row, **e.row}
    return [by_step[s] for s in sorted(by_step)], sorted(repeated)


def refuse_unknown(names: Names, logged: Iterable[str], where: str) -> None:
    """Refuse a metric that the user named and no row has.

    Raises:
        BadRequest: there is no such metric; the message lists those there are.
    """
    there = sorted(set(logged))
    for name in (names.nll, names.accuracy):
        if name and not any(name in (key, fold(key)) for key in there):
            raise BadRequest(f"unknown metric {name!r} in the curves of {where}; allowed: {', '.join(there)}")
