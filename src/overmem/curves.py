"""Learning curves of a run that nobody audited: what the trainer logged, in whichever format.

Read are `trainer_state.json` (transformers, TRL), `trainer_log.jsonl` (LLaMA-Factory), CSV and TensorBoard event
files; the first kind that holds an evaluation is taken.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from overmem.errors import BadRequest
from overmem.records import Checkpoint

NLL = (
    "eval_loss",
    "eval/loss",
    "eval_nll",
    "val_loss",
    "val/loss",
    "validation_loss",
    "valid_loss",
    "nll",
    "eval_val_loss",
)
ACCURACY = (
    "eval_accuracy",
    "eval/accuracy",
    "eval_acc",
    "eval_exact_match",
    "eval_answer_accuracy",
    "val_accuracy",
    "val/accuracy",
    "val_acc",
    "validation_accuracy",
    "accuracy",
    "acc",
    "exact_match",
)
TOKEN_ACCURACY = ("eval_mean_token_accuracy", "eval/mean_token_accuracy", "eval_token_accuracy")
STEP = ("step", "global_step", "current_steps", "steps")
RATE = ("learning_rate", "lr", "train/learning_rate")

HELD_OUT = ("val", "dev", "test")
"""Of several evaluation sets the one whose name has the first of these in it is taken."""
_SET = re.compile(r"eval[_/](.+)(?<!token)_(?:loss|accuracy|acc|exact_match)$")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Logged:
    """One evaluation a step, in time order."""

    source: Path
    checkpoints: tuple[Checkpoint, ...]
    nll: Float[np.ndarray, " checkpoints"]
    """The logged evaluation loss; NaN where there is none."""
    accuracy: Float[np.ndarray, " checkpoints"]
    """The logged answer accuracy as a fraction; NaN where there is none."""
    warnings: tuple[str, ...]


def read_logged(root: Path) -> Logged:
    """The curves of the folder (or file) `root`.

    Raises:
        BadRequest: nothing there can be read as curves with evaluations.
    """
    tried = []
    for path, read in _sources(root):
        rows, said = _of_one_set([r for r in read(path) if _step(r) is not None])
        if _has_evaluations(rows):
            logged = _logged(path, rows)
            return replace(logged, warnings=(*said, *logged.warnings))
        tried.append(path.name)
    found = f"; {', '.join(tried)} hold no evaluation (eval_loss or an accuracy)" if tried else ""
    raise BadRequest(
        f"no learning curves in {root}: expected trainer_state.json, trainer_log.jsonl, a .csv with columns step and "
        f"eval_loss, or TensorBoard event files{found}"
    )


def _has_evaluations(rows: list[Row]) -> bool:
    return any(_number(r, NLL) is not None or _number(r, ACCURACY) is not None for r in rows)


def _of_one_set(rows: list[Row]) -> tuple[list[Row], list[str]]:
    """The rows as if only one evaluation set had been given, where the trainer had several; and which one that is."""
    if _has_evaluations(rows):
        return rows, []
    found = sorted({m[1] for r in rows for key, v in r.items() if v is not None and (m := _SET.match(str(key)))})
    if not found:
        return rows, []
    taken = next((name for held in HELD_OUT for name in found if held in name.lower()), found[0])
    own = re.compile(rf"eval[_/]{re.escape(taken)}_")
    said = f"The trainer evaluated on {', '.join(found)}; judged is {taken}."
    return [{own.sub("eval_", str(key)): value for key, value in r.items()} for r in rows], [said]


def _sources(root: Path) -> Iterable[tuple[Path, Callable[[Path], list[Row]]]]:
    inside = [root] if root.is_file() else []
    if root.is_dir():
        numbered = sorted(root.glob("checkpoint-*/trainer_state.json"), key=lambda p: _trailing(p.parent.name))
        inside = [
            root / "trainer_state.json",
            *reversed(numbered),
            root / "trainer_log.jsonl",
            *sorted(root.glob("*.csv")),
        ]
        inside += sorted(root.rglob("*tfevents*"))
    for path in inside:
        if not path.is_file():
            continue
        if path.suffix == ".json":
            yield path, _trainer_state
        elif path.suffix == ".jsonl":
            yield path, _json_lines
        elif path.suffix == ".csv":
            yield path, _csv
        elif "tfevents" in path.name:
            yield path, _events


def _trailing(name: str) -> int:
    found = re.search(r"(\d+)$", name)
    return int(found[1]) if found else -1


def _trainer_state(path: Path) -> list[Row]:
    try:
        return list(json.loads(path.read_text(encoding="utf-8")).get("log_history", []))
    except (json.JSONDecodeError, AttributeError) as error:
        raise BadRequest(f"{path} is not a trainer state: {error}") from error


def _json_lines(path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise BadRequest(f"{path}, line {number}, is not JSON: {error}") from error
    return [r for r in rows if isinstance(r, dict)]


def _csv(path: Path) -> list[Row]:
    try:
        frame = pl.read_csv(path, null_values=["", "NaN", "nan", "null", "None"], infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise BadRequest(f"{path} is not a CSV: {error}") from error
    # Weights & Biases exports "Step" and "<run> - eval/loss"
    names = [c.rpartition(" - ")[2].strip().lower() for c in frame.columns]
    if len(set(names)) < len(names):
        raise BadRequest(f"{path} has several columns of one name, {', '.join(frame.columns)}: export one run a file")
    frame.columns = names
    return list(frame.iter_rows(named=True))


def _events(path: Path) -> list[Row]:
    try:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    except ImportError as error:
        raise BadRequest(f"to read {path}, `pip install tensorboard` (or export the curves as CSV)") from error
    rows: dict[int, dict[str, Any]] = {}
    for folder_file in sorted(path.parent.glob("*tfevents*")):
        for event in EventFileLoader(str(folder_file)).Load():
            for value in event.summary.value:
                numbers = value.tensor.float_val or ([value.simple_value] if value.HasField("simple_value") else [])
                if numbers:
                    tag = {"train/epoch": "epoch"}.get(value.tag, value.tag)
                    rows.setdefault(event.step, {"step": event.step})[tag] = float(numbers[0])
    return list(rows.values())


def _number(row: Row, names: Iterable[str]) -> float | None:
    for name in names:
        value = row.get(name)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                continue
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None


def _step(row: Row) -> int | None:
    step = _number(row, STEP)
    return int(step) if step is not None and math.isfinite(step) else None


def _logged(path: Path, rows: list[Row]) -> Logged:
    merged: dict[int, dict[str, Any]] = {}
    repeated: list[int] = []
    for row in rows:
        step = _step(row)
        if step is None:
            continue
        at = merged.setdefault(step, {})
        evaluated = {n: v for n in ("nll", "accuracy", "tokens") if (v := _number(row, _NAMES[n])) is not None}
        if any(name in at for name in evaluated):
            repeated.append(step)
        at |= evaluated | {n: v for n in ("epoch", "rate") if (v := _number(row, _NAMES[n])) is not None}
    steps = sorted(merged)
    rate = _cumulative(steps, [merged[s].get("rate") for s in steps])
    kept = [i for i, s in enumerate(steps) if "nll" in merged[s] or "accuracy" in merged[s]]
    checkpoints = tuple(
        Checkpoint(f"checkpoint-{steps[i]}", steps[i], merged[steps[i]].get("epoch"), rate[i]) for i in kept
    )
    columns = {
        name: np.array([merged[steps[i]].get(name, np.nan) for i in kept], dtype=np.float64)
        for name in ("nll", "accuracy", "tokens")
    }
    for values in columns.values():
        values[~np.isfinite(values)] = np.nan
    said = [_repeated(repeated)] if repeated else []
    if (path.parent / "trainer_log.jsonl").is_file() and not np.isnan(columns["accuracy"]).all():
        # LLaMA-Factory's eval_accuracy counts tokens, and `accuracy` in its own log is that of a reward
        of_tokens = path.suffix == ".json"
        columns["tokens"] = columns["accuracy"] if of_tokens else columns["tokens"]
        columns["accuracy"] = np.full_like(columns["accuracy"], np.nan)
        if not of_tokens:
            said.append("The accuracy that LLaMA-Factory logs is not that of answers, so it was not used.")
    if np.nanmax(columns["accuracy"], initial=0.0) > 1.0:
        columns["accuracy"] = columns["accuracy"] / 100
        said.append("Accuracies above 1 were read as percent.")
    if np.isnan(columns["accuracy"]).all() and not np.isnan(columns["tokens"]).all():
        said.append("Token accuracy was logged, but it is not the accuracy of answers, so it was not used.")
    said += not_nll(path, columns["nll"], columns["tokens"])
    return Logged(path, checkpoints, columns["nll"], columns["accuracy"], tuple(said))


_NAMES = {"nll": NLL, "accuracy": ACCURACY, "tokens": TOKEN_ACCURACY, "epoch": ("epoch",), "rate": RATE}


def _repeated(steps: list[int]) -> str:
    shown = ", ".join(map(str, sorted(set(steps))[:5]))
    return f"Evaluated more than once at step {shown} (a resumed run?); the last value was taken."


def _cumulative(steps: list[int], rates: list[float | None]) -> list[float | None]:
    """Sum of the learning rates up to each step; a rate holds for the steps since the entry before."""
    if all(r is None for r in rates):
        return [None] * len(steps)
    total, before, last, sums = 0.0, 0, next(r for r in rates if r is not None), []
    for step, rate in zip(steps, rates, strict=True):
        last = rate if rate is not None else last
        total += last * (step - before)
        before = step
        sums.append(total)
    return list(sums)


def not_nll(
    path: Path, nll: Float[np.ndarray, " checkpoints"], token_accuracy: Float[np.ndarray, " checkpoints"]
) -> list[str]:
    """Warnings that the logged evaluation loss is not plain nll, from the settings beside it and from arithmetic.

    A token that is not the argmax has probability at most 1/2, so nll >= (1 - token accuracy) ln 2.
    """
    said = []
    with np.errstate(invalid="ignore"):
        if (nll < (1 - token_accuracy) * math.log(2) - 1e-6).any():
            said.append(
                "eval_loss is smaller than its token accuracy allows for plain nll: it was made with another training "
                "loss, and its perplexity means nothing. Audit the checkpoints instead."
            )
    folder = path if path.is_dir() else path.parent
    named = [
        folder / n
        for n in ("overmem/recipe.yaml", "recipe.yaml", "train_args.yaml", "training_args.yaml", "config.yaml")
    ]
    for file in named:
        if file.is_file() and (found := _other_loss(file.read_text(encoding="utf-8", errors="replace"))):
            said.append(
                f"{file.name} says {found}: if the evaluation used it too, as TRL and LLaMA-Factory do, the logged "
                "eval_loss is not nll and its perplexity means nothing. Audit the checkpoints instead."
            )
    return said


def _other_loss(text: str) -> str | None:
    for pattern in (
        r"^\s*(use_(?:dft|asft|eaft)_loss:\s*true)",
        r"^\s*(loss(?:_type)?:\s*(?!nll\b|null\b|~|none\b|\{|causal)['\"]?[a-z][\w]*)",
        r"^\s*(label_smoothing_factor:\s*0*\.?0*[1-9]\d*)",
    ):
        if found := re.search(pattern, text, flags=re.MULTILINE | re.IGNORECASE):
            return found[1].strip()
    return None
