"""Whether two folders hold the same: measurements, verdicts, plans, pages and weights to the last digit."""

import json
import re
from pathlib import Path
from typing import Any

import polars as pl

_TIMES = re.compile(r"(_runtime|_per_second|train_loss|total_flos|date|stamp|seconds)$")
"""Keys of the trainer's log that measure time, and the mean loss of the steps since the last resume."""
_OPENED = (".lock",)
LEFTOVERS = re.compile(r"(\.partial|\.lease|\.tmp|~)$|^tmp|/tmp|(^|/)leases/")
"""Names of files that no command may leave."""


def differences(expected: Path, found: Path) -> list[str]:
    """In what the second folder differs from the first."""
    names = {str(p.relative_to(root)) for root in (expected, found) for p in root.rglob("*") if _counts(p)}
    unequal = []
    for name in sorted(names):
        if not (found / name).exists():
            unequal.append(f"{name} is missing")
        elif not (expected / name).exists():
            unequal.append(f"{name} is left over")
        elif (found / name).is_file() and _content(expected / name) != _content(found / name):
            unequal.append(f"{name} differs")
    return unequal


def leftovers(folder: Path) -> list[str]:
    """Temporary files and leases in a folder."""
    return sorted(n for p in folder.rglob("*") if LEFTOVERS.search(n := str(p.relative_to(folder))) and p.is_file())


def _counts(path: Path) -> bool:
    return path.suffix not in _OPENED and "workers" not in path.parts


def _content(path: Path) -> Any:
    """The content of a file without what measures time."""
    try:
        if path.suffix == ".parquet":
            note = pl.read_parquet_metadata(path).get("overmem")
            return note, pl.read_parquet(path).to_dicts().__repr__()
        if path.suffix == ".json":
            return _without_times(json.loads(path.read_text(encoding="utf-8")))
        if path.suffix == ".html":
            return re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?", "", path.read_text(encoding="utf-8"))
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        return f"{path}: {error}"
    return path.read_bytes()


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if not _TIMES.search(k)}
    return [_without_times(v) for v in value] if isinstance(value, list) else value
