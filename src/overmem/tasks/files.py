"""Data files: JSON lines, JSON, CSV and Parquet, a single file or a folder."""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from overmem.errors import BadData, BadRequest
from overmem.json_text import HALF_A_CHARACTER, is_text, parse_json
from overmem.tasks.data import Data, Row, SourceResult

_PART = {"train": "train", "training": "train", "test": "test", "val": "val", "valid": "val", "validation": "val"}
_PART["dev"] = "val"


def file_rows(data: Data) -> SourceResult:
    """The rows of `data.source`, a file or a folder.

    In a folder, a file's name contains train, val (validation, dev) or test.

    Raises:
        BadRequest: nothing there, an unsupported format, or two files for one part.
        BadData: a file that cannot be read, or a row that is not an object; the message names file and row.
    """
    return SourceResult({part: read_rows(path) for part, path in _files(Path(data.source)).items()})


def read_rows(path: Path) -> list[Row]:
    """The rows of one file, in its order.

    Raises:
        BadData: the file cannot be read, or a row is not an object; the message names file and row.
    """
    name = path.name.removesuffix(".gz")
    try:
        numbered = list(_READERS[Path(name).suffix.casefold()](path))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, ValueError) as error:
        raise BadData(f"{path} cannot be read: {error}") from error
    for number, values in numbered:
        if ".json" in name and not is_text(values):
            raise BadData(f"{path}, row {number}: {HALF_A_CHARACTER}")
        if not isinstance(values, dict):
            raise BadData(
                f"{path}, row {number}: {type(values).__name__} where an object with named fields is expected"
            )
    return [Row(str(path), number, values) for number, values in numbered]


def is_file_source(source: str) -> bool:
    """Whether `source` is a path: it exists, or it looks like one."""
    name = source.removesuffix(".gz")
    return Path(name).suffix.casefold() in _READERS or source.startswith((".", "/", "~")) or Path(source).exists()


def with_absolute_paths(data: Data) -> Data:
    """`data` with absolute paths of its files, so that it means the same from any folder."""
    source, test_source = (
        str(Path(s).expanduser().resolve()) if s and is_file_source(s) else s for s in (data.source, data.test_source)
    )
    ood, shifted = ({name: with_absolute_paths(d) for name, d in sets.items()} for sets in (data.ood, data.shifted))
    return replace(data, source=source, test_source=test_source, ood=ood, shifted=shifted)


def _files(path: Path) -> dict[str, Path]:
    """The file of each part at `path`."""
    path = path.expanduser()
    if not path.exists():
        raise BadRequest(f"no data at {path}; allowed: a {_allowed()} file or a folder of such files")
    if not path.is_dir():
        if Path(path.name.removesuffix(".gz")).suffix.casefold() not in _READERS:
            raise BadRequest(f"data file {path} has an unsupported format; allowed: {_allowed()}")
        return {"train": path}
    readable = sorted(p for p in path.iterdir() if Path(p.name.removesuffix(".gz")).suffix.casefold() in _READERS)
    if not readable:
        raise BadRequest(f"no data file in the folder {path}; allowed: {_allowed()}")
    if len(readable) == 1:
        return {"train": readable[0]}
    files: dict[str, Path] = {}
    for file in readable:
        words = re.split(r"[\W_]+", file.name.casefold())
        parts = {_PART[word] for word in words if word in _PART}
        if len(parts) != 1:
            raise BadRequest(f"{file} in the folder {path}: its name must contain one of train, val and test")
        if (part := parts.pop()) in files:
            raise BadRequest(
                f"the folder {path} has two files for {part} ({files[part].name}, {file.name}); "
                "name one file as source: and one as test_source:"
            )
        files[part] = file
    return files


def _allowed() -> str:
    return ", ".join(_READERS)


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield number, parse_json(line)
                except ValueError as error:
                    raise BadData(f"{path}, row {number}: not JSON ({error})") from error


def _json(path: Path) -> Iterator[tuple[int, Any]]:
    content = parse_json(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        if len(lists) != 1:
            raise BadData(f"{path}: an object with {len(lists)} lists; allowed: a list of rows, or an object with one")
        content = lists[0]
    if not isinstance(content, list):
        raise BadData(f"{path}: {type(content).__name__} where a list of rows is expected")
    yield from enumerate(content, 1)


def _csv(path: Path) -> Iterator[tuple[int, Any]]:
    # Every column as text: type inference must not change answers such as 007 or 1,000.
    yield from _table(lambda polars: polars.read_csv(path, infer_schema=False))


def _parquet(path: Path) -> Iterator[tuple[int, Any]]:
    yield from _table(lambda polars: polars.read_parquet(path))


def _table(read: Callable[[Any], Any]) -> Iterator[tuple[int, Any]]:
    import polars

    try:
        yield from enumerate(read(polars).iter_rows(named=True), 1)
    except polars.exceptions.PolarsError as error:
        raise ValueError(str(error).splitlines()[0]) from error


_READERS: dict[str, Callable[[Path], Iterator[tuple[int, Any]]]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
