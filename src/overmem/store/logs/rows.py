"""The content of a log: rows of numbers and short texts with sanitized names."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Row: TypeAlias = Mapping[str, float | str]
"""One entry of a log. A missing value is a missing key; NaN is a value that the trainer logged as NaN."""

MAX_CHARS = 120
"""Number of characters of a name or text at most."""
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")
"""A comma between thousands; any other is a decimal one."""
_MISSING = {"", "na", "n/a", "none", "null", "no log", "-", "--"}


@dataclass(frozen=True)
class LogPart:
    """The rows of one run in one file."""

    path: Path
    rows: tuple[Row, ...]
    run: str = ""
    """Name of the run, if the file has it."""
    best_step: int | None = None
    """Step of the trainer's own best checkpoint (`best_model_checkpoint`)."""
    last_step: int = -1
    """Step at which the file was written, else the step of its last row."""
    notes: tuple[str, ...] = ()
    """Remarks on how the file was read."""


def clean(text: str) -> str:
    r"""The text without control characters, truncated to MAX_CHARS.

    >>> clean("eval\x1b[31m_loss")
    'eval?[31m_loss'
    """
    printable = _UNPRINTABLE.sub("?", text)
    return printable if len(printable) <= MAX_CHARS else f"{printable[:MAX_CHARS]}..."


def number(value: object) -> float | None:
    """The value as a number, including text such as "0.5", "88.1%" or "1,500"; None if it is not one.

    >>> number("0.25"), number(True), number("1e400"), number([1])
    (0.25, None, inf, None)
    >>> number("1,500"), number("0,52"), number("1,2,3")
    (1500.0, 0.52, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip().strip("%").strip() if len(value) < MAX_CHARS else "x"
        text = text.replace(",", "") if _THOUSANDS.fullmatch(text) else text.replace(",", ".")
        try:
            return float(text)
        except ValueError:
            return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return math.copysign(math.inf, value)
    return None


def rows_of(entries: Iterable[object]) -> tuple[Row, ...]:
    """The entries that are objects, with sanitized names; only numbers and short texts are kept."""
    return tuple(row for entry in entries if isinstance(entry, Mapping) and (row := _row(entry)))


def _row(entry: Mapping[object, object]) -> dict[str, float | str]:
    row: dict[str, float | str] = {}
    for key, value in entry.items():
        if isinstance(value, str) and value.strip().lower() in _MISSING:
            continue
        if (numeric := number(value)) is not None:
            row[clean(str(key))] = numeric
        elif isinstance(value, str):
            row[clean(str(key))] = clean(value)
    return row
