"""The learning curves of one evaluation set, as a trainer logged them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from overmem.records import Checkpoint
from overmem.store.logs.evaluations import CHOSEN_ACCURACY, Evaluation, first_logged
from overmem.store.logs.losses import losses_of
from overmem.store.logs.metrics import DIRECTIONS, Direction, metric_of
from overmem.store.logs.sample_size import examples_behind, rows_evaluated
from overmem.store.logs.scales import as_fraction
from overmem.store.logs.token_accuracy import looks_like_tokens, trainer_counts_tokens

ONE_CLASS = 0.15
"""How far F1 lies below the accuracy at least where the accuracy is mostly that of one frequent label."""


@dataclass(frozen=True)
class LogCurves:
    """The evaluations of one set in a trainer's log: one per step, in time order."""

    source: Path
    """The file that was read."""
    checkpoints: tuple[Checkpoint, ...]
    nll: Float[np.ndarray, " checkpoints"]
    """The logged evaluation loss; NaN where there is none."""
    accuracy: Float[np.ndarray, " checkpoints"]
    """The logged answer accuracy as a fraction; NaN where there is none. An error rate is stored as 1 - rate."""
    warnings: tuple[str, ...]
    evaluation_set: str = ""
    """Name of the evaluation set; empty if the log has only one, without a name."""
    metric: str = ""
    """Name of the accuracy, as logged; empty where there is none."""
    judged_as: str = ""
    """The score that is used instead of an accuracy, such as `1 - eval_wer`; empty for an accuracy."""
    accuracy_n: int | None = None
    """Number of examples of the accuracy; None if unknown."""
    n_source: str = ""
    """The source of `accuracy_n`: `logged`, `evaluation speed` or `digits`."""
    by_callback: bool = False
    """Whether overmem's callback evaluated it."""
    rows: int | None = None
    """Rows of the evaluation set, from their logged count or the duration and speed; None if unknown."""
    diverged: str | None = None
    """First checkpoint of a divergence that lasts to the end: the loss is NaN or implausibly high. None if there is
    none."""
    best_checkpoint: str | None = None
    """The trainer's own best checkpoint (`best_model_checkpoint`)."""
    is_nll: bool = True
    """Whether the loss is plain nll, as far as the log and the settings show."""
    others: tuple["LogCurves", ...] = ()
    """The run's other evaluation sets."""


@dataclass(frozen=True)
class LogContext:
    """Facts about a run other than its evaluations."""

    path: Path
    folder: Path
    best_step: int | None
    cumulative_rates: Mapping[int, float]
    """Evaluated step -> learning rates summed over the steps up to it."""
    by_callback: bool
    """Whether overmem's callback evaluated the set."""
    sizes: Mapping[str, int]
    """Metric -> logged number of examples."""
    lower_is_better: bool
    unit: str
    """What is counted: `checkpoint` for steps, else `epoch` or `evaluation`."""


@dataclass(frozen=True)
class _Accuracy:
    """The metric that is judged as accuracy; all NaN and without a name if there is none."""

    values: Float[np.ndarray, " checkpoints"]
    metric: str = ""
    judged_as: str = ""
    n: int | None = None
    n_source: str = ""
    notes: tuple[str, ...] = ()
    was_of_tokens: bool = False
    """Whether it was not used because it counts tokens."""


def curves_of_set(name: str, evaluations: Sequence[Evaluation], context: LogContext) -> LogCurves:
    """The curves of one evaluation set, with their warnings."""
    checkpoints = tuple(
        Checkpoint(f"{context.unit}-{e.step}", e.step, e.epoch, context.cumulative_rates.get(e.step))
        for e in evaluations
    )
    losses = losses_of(evaluations)
    accuracy = _accuracy(evaluations, losses.nll, context, name)
    notes = [*accuracy.notes, *losses.notes]
    is_missing = not np.isfinite(accuracy.values).any()
    if is_missing and np.isfinite(token_accuracies(evaluations)).any() and not accuracy.was_of_tokens:
        notes.append("Token accuracy was logged, but it is not the accuracy of answers, so it was not used.")
    return LogCurves(
        context.path,
        checkpoints,
        losses.nll,
        accuracy.values,
        tuple(notes),
        evaluation_set=name,
        metric="" if is_missing else accuracy.metric,
        judged_as=accuracy.judged_as,
        by_callback=context.by_callback,
        rows=context.sizes.get("nll") or _rows(evaluations, name),
        accuracy_n=accuracy.n,
        n_source=accuracy.n_source,
        diverged=None if losses.diverged_at is None else checkpoints[losses.diverged_at].name,
        is_nll=not losses.has_negative,
        best_checkpoint=None if context.best_step is None else f"checkpoint-{context.best_step}",
    )


def _accuracy(
    evaluations: Sequence[Evaluation], nll: Float[np.ndarray, " checkpoints"], context: LogContext, name: str
) -> _Accuracy:
    key, direction, passed_over = _judged_metric(evaluations, nll, context, name)
    raw = _column(evaluations, key)
    is_error = direction.lower_is_better or (key == CHOSEN_ACCURACY and context.lower_is_better)
    metric = _logged_name(evaluations, key, name)
    fractions, scale_note = as_fraction(raw, metric, is_error=is_error, is_signed=direction.is_signed)
    notes = [note for note in (passed_over, scale_note) if note]
    none = np.full(len(nll), np.nan)
    if fractions is None or not np.isfinite(fractions).any():
        return _Accuracy(none, notes=tuple(notes))
    is_settled = key == CHOSEN_ACCURACY or context.by_callback or bool(passed_over)
    why = "" if is_settled else _token_reason(evaluations, key, fractions, nll, context, raw)
    if why:
        notes.append(
            f"{metric} counts tokens, not answers, it seems ({why}), so perplexity is judged alone. If it counts "
            f"answers, say so: --accuracy-metric {metric}."
        )
        return _Accuracy(none, notes=tuple(notes), was_of_tokens=True)
    judged_as = ""
    if is_error:
        fractions, judged_as = 1 - fractions, f"1 - {metric}"
        notes.insert(0, f"{metric} is an error rate: what is judged is 1 - {metric}.")
    elif direction.kind == "score":
        judged_as = metric
        if key != CHOSEN_ACCURACY and not passed_over:
            notes.insert(0, f"No accuracy of answers was logged; {metric} is judged in its place (higher is better).")
    is_share = direction.is_share or (key == CHOSEN_ACCURACY and not judged_as)
    n, n_source = _sample_size(evaluations, key, raw, nll, context, name) if is_share else (None, "")
    return _Accuracy(fractions, metric, judged_as, n, n_source, tuple(notes))


def token_accuracies(evaluations: Sequence[Evaluation]) -> Float[np.ndarray, " checkpoints"]:
    """The accuracies of tokens that were logged as such; NaN where there is none."""
    return first_logged(evaluations, [n for n, d in DIRECTIONS.items() if d.kind == "token accuracy"])


def _column(evaluations: Sequence[Evaluation], key: str) -> Float[np.ndarray, " checkpoints"]:
    values = first_logged(evaluations, [key])
    return np.where(np.isfinite(values), values, np.nan)


def _judged_metric(
    evaluations: Sequence[Evaluation], nll: Float[np.ndarray, " checkpoints"], context: LogContext, name: str
) -> tuple[str, Direction, str]:
    """Which metric is judged as accuracy, and why the preferred one was passed over; empty if it was not."""
    logged = {k for e in evaluations for k, v in e.values.items() if math.isfinite(v)}
    if CHOSEN_ACCURACY in logged:
        chosen = metric_of(_logged_name(evaluations, CHOSEN_ACCURACY, name))
        is_score = chosen is not None and chosen.direction.kind == "score"
        return CHOSEN_ACCURACY, chosen.direction if chosen and is_score else Direction("accuracy"), ""
    accuracies, scores = (
        [(n, d) for n, d in DIRECTIONS.items() if d.kind == kind and n in logged] for kind in ("accuracy", "score")
    )
    if not accuracies:
        return (*scores[0], "") if scores else ("", Direction("other"), "")
    key, direction = accuracies[0]
    if not scores or context.by_callback:
        return key, direction, ""
    metric, raw = _logged_name(evaluations, key, name), _column(evaluations, key)
    accuracy, _ = as_fraction(raw, metric)
    why = "" if accuracy is None else _token_reason(evaluations, key, accuracy, nll, context, raw)
    if not why and accuracy is not None:
        why = _far_below(_column(evaluations, scores[0][0]), accuracy, scores[0][0])
    if not why:
        return key, direction, ""
    return (
        *scores[0],
        f"{metric} counts tokens, tags or one frequent label, not answers, it seems ({why}), so "
        f"{_logged_name(evaluations, scores[0][0], name)} is judged instead. If it counts answers, say so: "
        f"--accuracy-metric {metric}.",
    )


def _far_below(raw: Float[np.ndarray, " checkpoints"], accuracy: Float[np.ndarray, " checkpoints"], name: str) -> str:
    """Why an F1 says more than the accuracy logged with it; empty if it does not: labels are mostly one class."""
    f1, _ = as_fraction(raw, name)
    if "f1" not in name or f1 is None or np.nanmax(f1) >= np.nanmax(accuracy) - ONE_CLASS:
        return ""
    return f"F1 is {100 * np.nanmax(f1):.1f}% at most, far below it"


def _logged_name(evaluations: Sequence[Evaluation], key: str, name: str) -> str:
    """The metric's name as the log has it."""
    value = next((e.values[key] for e in evaluations if key in e.values), None)
    keys = [k for e in evaluations for k, v in e.row.items() if v == value and isinstance(v, float)]
    named = [k for k in keys if (m := metric_of(k)) and m.name == key and m.evaluation_set == name]
    return named[0] if named else keys[0] if key == CHOSEN_ACCURACY and keys else key


def _sample_size(
    evaluations: Sequence[Evaluation],
    key: str,
    raw: Float[np.ndarray, " checkpoints"],
    nll: Float[np.ndarray, " checkpoints"],
    context: LogContext,
    name: str,
) -> tuple[int | None, str]:
    if key in context.sizes:
        return context.sizes[key], "logged"
    digits = _n_from_digits(raw, nll)
    rows = _rows(evaluations, name)
    if rows is not None and (digits is None or rows % digits == 0):
        return rows, "evaluation speed"
    return digits, "digits" if digits is not None else ""


def _rows(evaluations: Sequence[Evaluation], name: str) -> int | None:
    return rows_evaluated([e.row for e in evaluations], f"eval_{name}" if name else "eval")


def _n_from_digits(raw: Float[np.ndarray, " checkpoints"], nll: Float[np.ndarray, " checkpoints"]) -> int | None:
    finite = [float(x) for x in raw[np.isfinite(raw)]]
    percent = max(finite, default=0.0) > 1.001
    return examples_behind(finite, [float(x) for x in nll[np.isfinite(nll)]], percent=percent)


def _token_reason(
    evaluations: Sequence[Evaluation],
    key: str,
    accuracy: Float[np.ndarray, " checkpoints"],
    nll: Float[np.ndarray, " checkpoints"],
    context: LogContext,
    raw: Float[np.ndarray, " checkpoints"],
) -> str:
    if key not in ("accuracy", "acc"):
        return ""
    trainer = trainer_counts_tokens(context.folder, key)
    if trainer:
        return f"{trainer} logs token accuracy under this name"
    rows = rows_evaluated([e.row for e in evaluations])
    return looks_like_tokens(accuracy, nll, rows=rows, examples=_n_from_digits(raw, nll))
