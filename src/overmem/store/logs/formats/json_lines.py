"""JSON lines: trainer_log.jsonl (LLaMA-Factory), logging.jsonl (ms-swift), a W&B history, eval_loss.jsonl and kin."""

from pathlib import Path

from overmem.errors import BadRequest
from overmem.store.logs.files import json_of, shown, text_of
from overmem.store.logs.rows import LogPart, rows_of


def read_json_lines(path: Path) -> list[LogPart]:
    """One object per line. A last line that was cut off, as a killed trainer leaves it, is left out and noted.

    Raises:
        BadRequest: another line is not JSON.
    """
    entries: list[object] = []
    notes: list[str] = []
    lines = [(i, line) for i, line in enumerate(text_of(path).splitlines(), 1) if line.strip()]
    for i, line in lines:
        try:
            entries.append(json_of(line, f"{shown(path)}, line {i},"))
        except BadRequest:
            if i != lines[-1][0] or not entries or line.rstrip().endswith("}"):
                raise
            notes.append(f"{shown(path)}, line {i}, is cut off and was left out.")
    return [LogPart(path, rows_of(map(_flat, entries)), notes=tuple(notes))]


def _flat(entry: object) -> object:
    """The entry with the objects in it one level up: {"eval": {"loss": 1}} as {"eval/loss": 1}."""
    if not isinstance(entry, dict):
        return entry
    flat: dict[str, object] = {}
    for key, value in entry.items():
        if isinstance(value, dict):
            flat |= {f"{key}/{inner}": v for inner, v in value.items()}
        else:
            flat[key] = value
    return flat
