"""Reading text and JSON of untrusted files, with one-line errors."""

import json
from pathlib import Path

from overmem.errors import BadRequest
from overmem.store.logs.rows import clean

MAX_BYTES = 1 << 30
"""Size of the largest log that is read, in bytes."""


def text_of(path: Path) -> str:
    """The text of a file in UTF-8, in UTF-16 with or without a byte order mark, or else in Latin-1.

    Raises:
        BadRequest: no such file, not readable, or too large.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadRequest(f"{printable(path)} is larger than 1 GiB; expected a log of a training run")
        raw = path.read_bytes()
    except OSError as error:
        raise BadRequest(f"{printable(path)} cannot be read: {error.strerror or error}") from error
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    head = raw[:512]
    if head and head.count(0) * 3 > len(head):
        return raw.decode("utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def json_of(text: str, where: str) -> object:
    """The value of a JSON text; integers of 300 digits or more become infinite.

    Raises:
        BadRequest: not JSON, or nested too deeply.
    """
    try:
        return json.loads(text, parse_int=_integer)
    except RecursionError as error:
        raise BadRequest(f"{where} is nested too deeply to be a log") from error
    except ValueError as error:
        raise BadRequest(f"{where} is not JSON: {clean(str(error))}") from error


def printable(path: Path) -> str:
    """The path, shortened and safe to print."""
    return clean(path.name) if path.is_absolute() and len(str(path)) > 100 else clean(str(path))


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < 300 else float("-inf" if digits.startswith("-") else "inf")
