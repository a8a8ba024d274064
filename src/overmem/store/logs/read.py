"""Learning curves of a run that nobody audited: what the trainer logged, in whichever format.

Read are `trainer_state.json` (transformers, TRL), `trainer_log.jsonl` (LLaMA-Factory), CSV and TensorBoard event
files; the first kind that holds an evaluation is taken.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from overmem.errors import BadRequest, unknown
from overmem.records import Checkpoint
from overmem.store.logs.formats import Row, sources

CHOSEN = {"nll": "chosen nll", "accuracy": "chosen accuracy"}
"""Where a metric stands that the user named."""
NLL = (
    CHOSEN["nll"],
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
    CHOSEN["accuracy"],
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
_LIKE_ACCURACY = re.compile(r"acc|exact|correct|solved|pass@|(^|[_/])em$", re.IGNORECASE)
_SET = re.compile(r"eval[_/](.+)(?<!token)_(?:loss|accuracy|acc|exact_match)$")


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


def read_logged(root: Path, *, nll: str = "", accuracy: str = "") -> Logged:
    """The curves of the folder (or file) `root`.

    Args:
        root: where they are looked for.
        nll: name of the evaluation loss in them; empty for the usual ones.
        accuracy: name of the accuracy of answers in them, likewise.

    Raises:
        BadRequest: nothing there can be read as curves with evaluations, or none of that name.
    """
    tried, there = [], set()
    for path, read in sources(root):
        rows = [r for r in read(path) if _step(r) is not None]
        there |= {str(key) for r in rows for key in r if _number(r, [key]) is not None}
        if any(name and not any(name in r for r in rows) for name in (nll, accuracy)):
            continue
        rows = [_named(r, {nll: CHOSEN["nll"], accuracy: CHOSEN["accuracy"]}) for r in rows]
        rows, said = (rows, []) if nll and accuracy else _of_one_set(rows)
        if _has_evaluations(rows):
            logged = _logged(path, rows)
            return replace(logged, warnings=(*said, *logged.warnings, *_overlooked(rows, logged)))
        tried.append(path.name)
    for name in (nll, accuracy):
        if name and name not in there:
            raise unknown("metric", name, there, f"the curves of {root}")
    found = f"; {', '.join(tried)} hold no evaluation (eval_loss or an accuracy)" if tried else ""
    raise BadRequest(
        f"no learning curves in {root}: expected trainer_state.json, trainer_log.jsonl, a .csv with columns step and "
        f"eval_loss, or TensorBoard event files{found}"
    )


def _named(row: Row, names: Mapping[str, str]) -> Row:
    """The row with some entries under other names too."""
    return {**row, **{new: row[old] for old, new in names.items() if old in row}}


def _overlooked(rows: list[Row], logged: Logged) -> list[str]:
    """What may be an accuracy, where none was found."""
    if not np.isnan(logged.accuracy).all():
        return []
    like = sorted({str(k) for r in rows for k in r if _LIKE_ACCURACY.search(str(k))})
    named = [name for name in like if name not in ACCURACY and "token" not in name.lower()]
    return [f"Is the accuracy of answers one of {', '.join(named)}? Then name it: --accuracy-metric."] if named else []


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
    named = any(CHOSEN["accuracy"] in row for row in rows)
    if not named and (path.parent / "trainer_log.jsonl").is_file() and not np.isnan(columns["accuracy"]).all():
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
