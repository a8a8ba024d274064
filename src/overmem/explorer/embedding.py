"""Examples inside a page: one line of JSON for each example and a last one for the table, compressed."""

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from overmem.explorer.choice import most_telling
from overmem.explorer.page_data import table_json
from overmem.explorer.table import ExampleTable
from overmem.records import Example

Details: TypeAlias = Mapping[str, dict[str, Any]]
"""Example id -> what the page shows of it."""
Reader: TypeAlias = Callable[[str, Sequence[Example]], Details]
"""(split, examples of it) -> their details."""

READ_AT_ONCE = 500
"""Examples whose details are read together."""


def embedded(
    table: ExampleTable, size: int, *, names: Sequence[str], regimes: Mapping[str, str], details: Reader
) -> str:
    """As many examples as fit into `size` bytes, the most telling first, as base64 of zlib of lines of JSON.

    Empty where none fits.

    Args:
        table: all of the examples.
        size: most bytes of the text that is returned.
        names: the two checkpoints to compare first.
        regimes: checkpoint -> its regime.
        details: reads examples whole.
    """
    order = most_telling(table, names)
    stream = zlib.compressobj(6)
    parts: list[bytes] = []
    used, room = 0, size // 4 * 3 - 64  # base64 makes four bytes of three
    kept: list[int] = []
    for start in range(0, len(order), READ_AT_ONCE):
        batch = order[start : start + READ_AT_ONCE]
        read = _details(table, batch, details)
        for row in batch:
            before = stream.copy()
            part = stream.compress(_line(read[row])) + stream.flush(zlib.Z_SYNC_FLUSH)
            cost = len(part) + len(zlib.compress(_row_bytes(table, row), 6))  # of the table a little too much
            if used + cost > room:
                stream = before
                break
            used += cost
            kept.append(row)
            parts.append(part)
        if len(kept) < start + len(batch):
            break
    parts.append(stream.compress(_line(table_json(table.chosen(kept), names, regimes))) + stream.flush())
    return base64.b64encode(b"".join(parts)).decode() if kept else ""


def _row_bytes(table: ExampleTable, row: int) -> bytes:
    """About what a row takes in the table."""
    e = table.examples[row]
    return _line([e.id, e.question, e.answer, table.marks[row], table.nll[row]])


def _details(table: ExampleTable, rows: Sequence[int], details: Reader) -> dict[int, dict[str, Any]]:
    read: dict[int, dict[str, Any]] = {}
    for split in dict.fromkeys(table.split[row] for row in rows):
        here = {table.examples[row].id: row for row in rows if table.split[row] == split}
        of_split = details(split, [table.examples[row] for row in here.values()])
        read |= {here[identity]: detail for identity, detail in of_split.items()}
    return read


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"
