"""`trainer_state.json` of transformers and of the trainers built on it (TRL, axolotl, Unsloth); a bare log_history."""

import math
import re
from pathlib import Path

from overmem.errors import BadRequest
from overmem.store.logs.files import json_of, shown, text_of
from overmem.store.logs.rows import LogPart, Row, number, rows_of

_BEYOND_ANY_STEP = 1e15


def read_trainer_state(path: Path) -> list[LogPart]:
    """The log history of a trainer's state, or of a file that holds nothing else.

    Raises:
        BadRequest: the file holds neither.
    """
    state = json_of(text_of(path), shown(path))
    if isinstance(state, list):
        return [LogPart(path, rows_of(state))]
    if isinstance(state, dict) and "log_history" not in state and (columns := _columns(state)):
        return [LogPart(path, rows_of(columns))]
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(state, dict) or not isinstance(history, list):
        raise BadRequest(f"{shown(path)} is not a trainer state: it has no list `log_history`")
    rows = rows_of(history)
    left_out = len(history) - len(rows)
    notes = (f"{shown(path)}: {left_out} of {len(history)} entries are no objects and were left out.",)
    best = state.get("best_model_checkpoint")
    at = number(state.get("global_step"))
    reached = int(at) if at is not None and math.isfinite(at) and abs(at) < _BEYOND_ANY_STEP else _last_step(rows)
    return [
        LogPart(
            path,
            rows,
            best_step=step_in(best) if isinstance(best, str) else None,
            last_step=max(reached, _last_step(rows)),
            notes=notes if left_out else (),
        )
    ]


def _columns(history: dict[str, object]) -> list[dict[str, object]]:
    """A row per epoch of a history of columns, as Keras keeps it: {"loss": [2.0, 1.5], "val_loss": [2.1, 1.7]}."""
    columns = {name: values for name, values in history.items() if isinstance(values, list)}
    if not columns or len(columns) < len(history):
        return []
    length = max(map(len, columns.values()))
    return [{"epoch": i, **{n: v[i] for n, v in columns.items() if i < len(v)}} for i in range(length)]


def step_in(name: str) -> int | None:
    """The step that a checkpoint's folder is named after; None where it has none.

    >>> step_in("out/checkpoint-400"), step_in("out/final")
    (400, None)
    """
    matched = re.search(r"(\d{1,15})/?$", name)
    return int(matched[1]) if matched else None


def _last_step(rows: tuple[Row, ...]) -> int:
    steps = [s for row in rows if (s := number(row.get("step"))) is not None and abs(s) < _BEYOND_ANY_STEP]
    return int(max(steps, default=-1))
