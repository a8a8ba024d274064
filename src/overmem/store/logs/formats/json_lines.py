"""JSON lines: trainer_log.jsonl (LLaMA-Factory), logging.jsonl (ms-swift), W&B histories, eval_loss.jsonl."""

from pathlib import Path

from overmem.errors import BadRequest
from overmem.store.logs.files import json_of, printable, text_of
from overmem.store.logs.rows import LogPart, rows_of


def read_json_lines(path: Path) -> list[LogPart]:
    """One object per line. A truncated last line, as left by a killed trainer, is left out with a note.

    Raises:
        BadRequest: another line is not JSON.
    """
    entries: list[object] = []
    notes: list[str] = []
    lines = [(i, line) for i, line in enumerate(text_of(path).splitlines(), 1) if line.strip()]
    for i, line in lines:
        try:
            entries.append(json_of(line, f"{printable(path)}, line {i},"))
        except BadRequest:
            if i != lines[-1][0] or not entries or line.rstrip().endswith("}"):
                raise
            notes.append(f"{printable(path)}, line {i}, is cut off and was left out.")
    return [LogPart(path, rows_of(map(_flat, entries)), notes=tuple(notes))]


def _flat(entry: object) -> object:
    """The entry with nested objects flattened: {"eval": {"loss": 1}} as {"eval/loss": 1}."""
    if not isinstance(entry, dict):
        return entry
    flat: dict[str, object] = {}
    for key, value in entry.items():
        if isinstance(value, dict):
            flat |= {f"{key}/{inner}": v for inner, v in value.items()}
        else:
            flat[key] = value
    return flat
