"""Files that are complete or absent: locks, atomic replacement, JSON and Parquet with a schema version."""

import glob
import json
import os
import re
import socket
import time
import uuid
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
from filelock import FileLock, Timeout

from overmem.errors import BadRequest, Locked
from overmem.records import READABLE_SCHEMAS, SCHEMA
from overmem.store import checksum
from overmem.store.paths import Run

_LEFTOVER_AGE = 24 * 3600.0
"""Seconds after which a temporary file of another machine is a leftover."""


@contextmanager
def locked(run: Run, *, wait: float = 0.0, beside_training: bool = False) -> Iterator[None]:
    """Lock the run for writing. Temporary files of killed processes are removed first.

    Args:
        run: the run.
        wait: seconds to wait for another process to end.
        beside_training: whether `overmem train` may be running on it.

    Raises:
        Locked: another process has locked it, or trains it.
    """
    run.home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as locks:
        locks.enter_context(_lock(run.home / ".lock", "is writing to", wait))
        if not beside_training:
            locks.enter_context(_lock(run.home / ".training.lock", "is training in", wait))
        _remove_leftovers(run.home.rglob(".*.partial"))
        yield


@contextmanager
def locked_for_training(run: Run) -> Iterator[None]:
    """Lock the run for a training: `locked` refuses it from now on, except with `beside_training`.

    Raises:
        Locked: another process has locked it, or trains it.
    """
    run.home.mkdir(parents=True, exist_ok=True)
    with _lock(run.home / ".training.lock", "is training in", 0.0):
        with locked(run, beside_training=True):
            pass  # no process is writing now, and only an audit during training may start
        yield


@contextmanager
def _lock(path: Path, doing: str, wait: float) -> Iterator[None]:
    lock = FileLock(path, timeout=wait)
    try:
        lock.acquire()
    except Timeout:
        raise Locked(
            f"another overmem process {doing} {path.parent} (lock {path}); wait for it to end, or give --out"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _remove_leftovers(paths: Iterable[Path]) -> None:
    """Delete those temporary files whose processes have ended."""
    for path in paths:
        machine, _, process = path.name.removesuffix(".partial").rpartition(".")[0].rpartition(".")[2].partition("-")
        if machine == _machine() and process.isdecimal():
            is_leftover = not psutil.pid_exists(int(process))
        else:  # written on another machine, or by an early version that did not name its process
            is_leftover = path.is_file() and time.time() - path.stat().st_mtime > _LEFTOVER_AGE
        if is_leftover:
            path.unlink(missing_ok=True)


def _machine() -> str:
    """A short hash of the host name, for file names."""
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that replaces `path` if the block succeeds, and is removed if it fails.

    What killed processes left of the same file is removed too: not every file is written under the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent.glob(f".{glob.escape(path.name)}.*.partial"))
    partial = temporary_path(path)  # its mode follows the umask
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def temporary_path(path: Path) -> Path:
    """A new path next to `path` that names its writer, so that a later process can tell a leftover and remove it."""
    writer = f"{_machine()}-{os.getpid()}"
    return path.with_name(f".{path.name}.{writer}.{uuid.uuid4().hex[:8]}.partial")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write JSON atomically; dataclasses become objects, NaN becomes null."""
    write_text(path, json.dumps(to_jsonable(value), indent=2, allow_nan=False) + "\n")


def to_jsonable(value: Any) -> Any:
    """`value` in types of JSON and YAML: dataclasses become objects, paths strings, NaN null."""
    if isinstance(value, Mapping):
        return {str(k): to_jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_jsonable(v) for v in value]
    if isinstance(value, np.generic):
        return to_jsonable(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "__dataclass_fields__"):
        return {f.name: to_jsonable(getattr(value, f.name)) for f in fields(value)}
    return value


def write_frame(path: Path, frame: pl.DataFrame, **note: str) -> None:
    """Write a table atomically, with its schema version and `note` in its metadata, and a checksum."""
    with replacing(path) as partial:
        metadata = {"overmem": json.dumps({"schema": SCHEMA, **note}), checksum.NAME: "before the footer"}
        frame.write_parquet(partial, metadata=metadata)
        checksum.add(partial)


def frame_note(path: Path) -> dict[str, Any] | None:
    """The `note` of `write_frame`; None if there is no readable table, or one that is not as it was written."""
    try:
        if not checksum.is_intact(path):
            return None
        note = json.loads(pl.read_parquet_metadata(path)["overmem"])
    except (OSError, KeyError, ValueError, RecursionError, pl.exceptions.PolarsError):
        return None
    return note if isinstance(note, dict) else None


def read_frame(
    path: Path, hint: str, columns: Mapping[str, Any] | None = None, optional: Collection[str] = ()
) -> pl.DataFrame:
    """A table written by `write_frame`, its columns of the types that were written, and without missing values.

    Args:
        path: the Parquet file.
        hint: for the error message: what to do if it cannot be read.
        columns: name -> type of the columns to read; all, of any type, by default.
        optional: those of `columns` that may be missing, or have missing values.

    Raises:
        BadRequest: the file is missing, damaged, lacks one of `columns`, or has an unsupported schema version.
    """
    note = frame_note(path)
    if note is None:
        raise BadRequest(f"{path} is {'damaged' if path.is_file() else 'missing'}; {hint}")
    if note.get("schema") not in READABLE_SCHEMAS:
        allowed = " and ".join(map(str, READABLE_SCHEMAS))
        raise BadRequest(f"{path} has schema {str(note.get('schema'))[:40]}, this overmem reads {allowed}; {hint}")
    try:
        present = None if columns is None else [n for n in pl.read_parquet_schema(path) if n in columns]
        frame = pl.read_parquet(path, columns=present)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadRequest(f"{path} is damaged ({str(error).splitlines()[0]}); {hint}") from error
    for name, dtype in (columns or {}).items():
        if reason := _why_wrong(frame, name, dtype, name in optional):
            raise BadRequest(f"{path} is damaged: its column {name!r} {reason}; {hint}")
    return frame


def _why_wrong(frame: pl.DataFrame, name: str, dtype: Any, is_optional: bool) -> str:
    """What is wrong about a column of a table; empty if nothing is."""
    if name not in frame.columns:
        return "" if is_optional else "is missing"
    column = frame[name]
    if _kind(column.dtype) != _kind(dtype):
        return "" if is_optional and column.dtype == pl.Null else f"holds {column.dtype}, not {dtype}"
    if not is_optional and column.null_count():
        return "has missing values"
    if isinstance(column.dtype, pl.List) and column.explode(empty_as_null=False).null_count() > column.null_count():
        return "has missing values"
    return ""


def _kind(dtype: Any) -> object:
    """A type without its width: versions may differ in that."""
    if isinstance(dtype, pl.List):
        return "list", _kind(dtype.inner)
    name = str(dtype if isinstance(dtype, pl.DataType) else dtype())
    return re.sub(r"^U?Int\d+$", "integer", re.sub(r"^Float\d+$", "number", name))
