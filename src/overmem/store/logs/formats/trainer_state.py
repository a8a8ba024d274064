"""`trainer_state.json` of transformers and of the trainers built on it (TRL, axolotl, Unsloth); a bare log_history."""

import math
import re
from pathlib import Path

from overmem.errors import BadRequest
from overmem.store.logs.files import json_of, printable, text_of
from overmem.store.logs.rows import LogPart, Row, number, rows_of

_MAX_STEP = 1e15


def read_trainer_state(path: Path) -> list[LogPart]:
    """The log history in a trainer's state, or in a file that contains only the history.

    Raises:
        BadRequest: the file has no log history.
    """
    state = json_of(text_of(path), printable(path))
    if isinstance(state, list):
        return [LogPart(path, rows_of(state))]
    if isinstance(state, dict) and "log_history" not in state and (columns := _columns(state)):
        return [LogPart(path, rows_of(columns))]
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(state, dict) or not isinstance(history, list):
        raise BadRequest(f"{printable(path)} is not a trainer state: it has no list `log_history`")
    rows = rows_of(history)
    left_out = len(history) - len(rows)
    notes = (f"{printable(path)}: {left_out} of {len(history)} entries are not objects and were left out.",)
    best = state.get("best_model_checkpoint")
    step = number(state.get("global_step"))
    written_at = int(step) if step is not None and math.isfinite(step) and abs(step) < _MAX_STEP else -1
    return [
        LogPart(
            path,
            rows,
            best_step=step_in(best) if isinstance(best, str) else None,
            last_step=max(written_at, _last_step(rows)),
            notes=notes if left_out else (),
        )
    ]


def _columns(history: dict[str, object]) -> list[dict[str, object]]:
    """One row per epoch of a Keras history, which has one list per metric: {"loss": [2.0, 1.5], "val_loss": [2.1]}."""
    columns = {name: values for name, values in history.items() if isinstance(values, list)}
    if not columns or len(columns) < len(history):
        return []
    length = max(map(len, columns.values()))
    return [{"epoch": i, **{n: v[i] for n, v in columns.items() if i < len(v)}} for i in range(length)]


def step_in(name: str) -> int | None:
    """The step in the name of a checkpoint's folder; None if there is none.

    >>> step_in("out/checkpoint-400"), step_in("out/final")
    (400, None)
    """
    matched = re.search(r"(\d{1,15})/?$", name)
    return int(matched[1]) if matched else None


def _last_step(rows: tuple[Row, ...]) -> int:
    steps = [s for row in rows if (s := number(row.get("step"))) is not None and abs(s) < _MAX_STEP]
    return int(max(steps, default=-1))
