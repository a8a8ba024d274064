"""The formats that trainers log in: files of a folder, and their entries as rows."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from overmem.errors import BadRequest

Row: TypeAlias = Mapping[str, Any]


def sources(root: Path) -> Iterable[tuple[Path, Callable[[Path], list[Row]]]]:
    """The files of a folder that may hold curves, the likeliest first, each with what reads it."""
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
