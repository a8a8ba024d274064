"""The learning curves of one evaluation set, as a trainer logged them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from overmem.records import Checkpoint
from overmem.store.logs.evaluations import CHOSEN_ACCURACY, CHOSEN_NLL, Evaluation
from overmem.store.logs.metrics import DIRECTIONS, Direction, metric_of
from overmem.store.logs.sample_size import examples_behind, rows_evaluated
from overmem.store.logs.scales import as_fraction
from overmem.store.logs.token_accuracy import looks_like_tokens, trainer_counts_tokens

DIVERGED = 15.0
"""Nats per token: worse than uniform guessing among three million tokens, so only a broken run reaches it."""


@dataclass(frozen=True)
class Logged:
    """One evaluation per step, in time order."""

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
    source_is_own: bool = False
    """Whether overmem's callback evaluated it."""
    rows: int | None = None
    """Rows of the evaluation set, from their logged count or the duration and speed; None if unknown."""
    diverged: str | None = None
    """First checkpoint of a divergence that lasts to the end: the loss is NaN or implausibly high. None if there is
    none."""
    best_checkpoint: str | None = None
    """The trainer's own best checkpoint (`best_model_checkpoint`)."""
    others: tuple["Logged", ...] = ()
    """The run's other evaluation sets."""


@dataclass(frozen=True)
class Source:
    """Facts about a run other than its evaluations."""

    path: Path
    folder: Path
    best_step: int | None
    cumulative_rates: Mapping[int, float]
    """Evaluated step -> learning rates summed over the steps up to it."""
    own: bool
    """Whether overmem's callback evaluated the set."""
    sizes: Mapping[str, int]
    """Metric -> logged number of examples."""
    lower_is_better: bool
    unit: str
    """What is counted: `checkpoint` for steps, else `epoch` or `evaluation`."""


def curves(name: str, evaluations: Sequence[Evaluation], source: Source) -> Logged:
    """The curves of one evaluation set, with their warnings."""
    checkpoints = tuple(
        Checkpoint(f"{source.unit}-{e.step}", e.step, e.epoch, source.cumulative_rates.get(e.step)) for e in evaluations
    )
    nll, diverged, notes = _losses(evaluations)
    key, direction, passed_over = _judged_metric(evaluations, nll, source, name)
    notes += [passed_over] if passed_over else []
    raw = _column(evaluations, key)
    is_error = direction.lower_is_better or (key == CHOSEN_ACCURACY and source.lower_is_better)
    shown = _shown(evaluations, key, name)
    accuracy, note = as_fraction(raw, shown, is_error=is_error)
    notes += [note] if note else []
    tokens = _tokens(evaluations)
    n, told_by, judged_as = None, "", ""
    if accuracy is None:
        accuracy, shown = np.full(len(nll), np.nan), ""
    elif np.isfinite(accuracy).any():
        if is_error:
            accuracy = 1 - accuracy
            notes.insert(0, f"{shown} is an error rate: what is judged as accuracy is 1 - {shown}.")
            judged_as = f"1 - {shown}"
        elif direction.kind == "score":
            notes.insert(0, f"No accuracy of answers was logged; {shown} is judged in its place (higher is better).")
            judged_as = shown
        is_share = direction.is_share or (key == CHOSEN_ACCURACY and not is_error)
        n, told_by = _size(evaluations, key, raw, nll, source, name) if is_share else (None, "")
        why = (
            ""
            if key == CHOSEN_ACCURACY or source.own or passed_over
            else _token_reason(evaluations, key, accuracy, nll, source, raw)
        )
        if why:
            notes.append(
                f"{shown} counts tokens, not answers, it seems ({why}), so perplexity is judged alone. If it counts "
                f"answers, say so: --accuracy-metric {shown}."
            )
            tokens, accuracy = np.where(np.isfinite(tokens), tokens, accuracy), np.full(len(nll), np.nan)
            n, told_by, shown, judged_as = None, "", "", ""
    if not np.isfinite(accuracy).any() and np.isfinite(tokens).any() and not any("counts tokens" in x for x in notes):
        notes.append("Token accuracy was logged, but it is not the accuracy of answers, so it was not used.")
    return Logged(
        source.path,
        checkpoints,
        nll,
        accuracy,
        tuple(notes),
        evaluation_set=name,
        metric=shown if np.isfinite(accuracy).any() else "",
        judged_as=judged_as,
        source_is_own=source.own,
        rows=source.sizes.get("nll") or _rows(evaluations, name),
        accuracy_n=n,
        n_source=told_by,
        diverged=None if diverged is None else checkpoints[diverged].name,
        best_checkpoint=None if source.best_step is None else f"checkpoint-{source.best_step}",
    )


def token_accuracies(evaluations: Sequence[Evaluation]) -> Float[np.ndarray, " checkpoints"]:
    """The accuracies of tokens that were logged as such; NaN where there is none."""
    return _tokens(evaluations)


def _tokens(evaluations: Sequence[Evaluation]) -> Float[np.ndarray, " checkpoints"]:
    names = [n for n, d in DIRECTIONS.items() if d.kind == "token accuracy"]
    return _first(evaluations, names)


def _losses(evaluations: Sequence[Evaluation]) -> tuple[Float[np.ndarray, " checkpoints"], int | None, list[str]]:
    """The nll, the place from which on it is broken to the end, and notes on places where it is not a number."""
    names = [
        CHOSEN_NLL,
        "nll",
        "loss",
        *(n for n, d in DIRECTIONS.items() if d.kind == "nll" and n not in ("nll", "loss")),
    ]
    ratios = [n for n, d in DIRECTIONS.items() if d.kind == "perplexity"]
    raw = _first(evaluations, names)
    for i, e in enumerate(evaluations):
        perplexity = next((e.values[n] for n in ratios if n in e.values), None)
        if math.isnan(raw[i]) and not any(n in e.values for n in names) and perplexity is not None and perplexity > 0:
            raw[i] = math.log(perplexity)
    there = [any(n in e.values for n in (*names, *ratios)) for e in evaluations]
    negative = raw < 0
    broken = np.array(there) & (~np.isfinite(raw) | (raw > DIVERGED))
    if broken.any() and not (np.isfinite(raw) & ~broken).any():
        start: int | None = int(broken.argmax())
    else:
        sound = np.flatnonzero(np.array(there) & ~broken)
        after = np.flatnonzero(broken & (np.arange(len(raw)) > (sound[-1] if len(sound) else -1)))
        start = int(after[0]) if len(after) else None
    nll = np.where(broken | negative, np.nan, raw)
    notes = []
    alone = [evaluations[i].step for i in np.flatnonzero(broken).tolist() if start is None or i < start]
    if alone:
        notes.append(f"The evaluation loss is not a usable number at step {_steps(alone)}; nothing is judged there.")
    if negative.any():
        steps = [evaluations[i].step for i in np.flatnonzero(negative).tolist()]
        notes.append(f"The evaluation loss is below 0 at step {_steps(steps)}, so it is no nll and was not used there.")
    if start is not None:
        e = evaluations[start]
        value = next((e.values[n] for n in names if n in e.values), math.nan)
        size = f"{value:.4g}" if math.isfinite(value) else "not a number" if math.isnan(value) else "infinite"
        notes.append(
            f"The run diverged: from step {e.step:,} on the evaluation loss is {size}. Ship nothing from there on."
        )
    return nll, start, notes


def _steps(steps: Sequence[int]) -> str:
    return ", ".join(f"{s:,}" for s in steps[:5]) + (" and others" if len(steps) > 5 else "")


def _first(evaluations: Sequence[Evaluation], names: Sequence[str]) -> Float[np.ndarray, " checkpoints"]:
    return np.array([next((e.values[n] for n in names if n in e.values), math.nan) for e in evaluations])


def _column(evaluations: Sequence[Evaluation], key: str) -> Float[np.ndarray, " checkpoints"]:
    values = _first(evaluations, [key])
    return np.where(np.isfinite(values), values, np.nan)


def _judged_metric(
    evaluations: Sequence[Evaluation], nll: Float[np.ndarray, " checkpoints"], source: Source, name: str
) -> tuple[str, Direction, str]:
    """Which metric stands as accuracy, and why the one before it in the order was passed over; empty where none was."""
    there = {k for e in evaluations for k, v in e.values.items() if math.isfinite(v)}
    if CHOSEN_ACCURACY in there:
        return CHOSEN_ACCURACY, Direction("accuracy"), ""
    found = {
        kind: [(n, d) for n, d in DIRECTIONS.items() if d.kind == kind and n in there] for kind in ("accuracy", "score")
    }
    if not found["accuracy"]:
        return (*found["score"][0], "") if found["score"] else ("", Direction("other"), "")
    key, direction = found["accuracy"][0]
    if not found["score"] or source.own:
        return key, direction, ""
    shown, raw = _shown(evaluations, key, name), _column(evaluations, key)
    accuracy, _ = as_fraction(raw, shown)
    why = "" if accuracy is None else _token_reason(evaluations, key, accuracy, nll, source, raw)
    if not why:
        return key, direction, ""
    score, its = found["score"][0]
    return (
        score,
        its,
        f"{shown} counts tokens or tags, not answers, it seems ({why}), so {_shown(evaluations, score, name)} is "
        f"judged instead. If it counts answers, say so: --accuracy-metric {shown}.",
    )


def _shown(evaluations: Sequence[Evaluation], key: str, name: str) -> str:
    """The metric's name as the log has it."""
    value = next((e.values[key] for e in evaluations if key in e.values), None)
    keys = [k for e in evaluations for k, v in e.row.items() if v == value and isinstance(v, float)]
    named = [k for k in keys if (m := metric_of(k)) and m.name == key and m.evaluation_set == name]
    return named[0] if named else keys[0] if key == CHOSEN_ACCURACY and keys else key


def _size(
    evaluations: Sequence[Evaluation],
    key: str,
    raw: Float[np.ndarray, " checkpoints"],
    nll: Float[np.ndarray, " checkpoints"],
    source: Source,
    name: str,
) -> tuple[int | None, str]:
    if key in source.sizes:
        return source.sizes[key], "logged"
    digits = _by_digits(raw, nll)
    rows = _rows(evaluations, name)
    if rows is not None and (digits is None or rows % digits == 0):
        return rows, "evaluation speed"
    return digits, "digits" if digits is not None else ""


def _rows(evaluations: Sequence[Evaluation], name: str) -> int | None:
    return rows_evaluated([e.row for e in evaluations], f"eval_{name}" if name else "eval")


def _by_digits(raw: Float[np.ndarray, " checkpoints"], nll: Float[np.ndarray, " checkpoints"]) -> int | None:
    finite = [float(x) for x in raw[np.isfinite(raw)]]
    percent = max(finite, default=0.0) > 1.001
    return examples_behind(finite, [float(x) for x in nll[np.isfinite(nll)]], percent=percent)


def _token_reason(
    evaluations: Sequence[Evaluation],
    key: str,
    accuracy: Float[np.ndarray, " checkpoints"],
    nll: Float[np.ndarray, " checkpoints"],
    source: Source,
    raw: Float[np.ndarray, " checkpoints"],
) -> str:
    if key not in ("accuracy", "acc"):
        return ""
    trainer = trainer_counts_tokens(source.folder, key)
    if trainer:
        return f"{trainer} logs that of tokens under this name"
    rows = rows_evaluated([e.row for e in evaluations])
    return looks_like_tokens(accuracy, nll, rows=rows, examples=_by_digits(raw, nll))
