"""Examples embedded in a page: one line of JSON per example and a last one for the table, compressed."""

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from overmem.explorer.choice import by_relevance
from overmem.explorer.page_data import table_json
from overmem.explorer.table import ExampleTable
from overmem.records import Example

Details: TypeAlias = Mapping[str, dict[str, Any]]
"""Example id -> its details, as the page reads them."""
Reader: TypeAlias = Callable[[str, Sequence[Example]], Details]
"""(split, examples of that split) -> their details."""

BATCH_SIZE = 500
"""Number of examples whose details are read at once."""


def embedded(
    table: ExampleTable, size: int, *, names: Sequence[str], regimes: Mapping[str, str], details: Reader
) -> str:
    """As many examples as fit into `size` bytes, the most relevant first: lines of JSON, zlib-compressed, in base64.

    Empty if none fits.

    Args:
        table: all examples.
        size: length of the result in bytes, at most.
        names: the two checkpoints that the page compares first.
        regimes: checkpoint -> its regime.
        details: reads the details of examples.
    """
    order = by_relevance(table, names)
    stream = zlib.compressobj(6)
    parts: list[bytes] = []
    used, available = 0, size // 4 * 3 - 64  # base64 encodes three bytes as four
    kept: list[int] = []
    for start in range(0, len(order), BATCH_SIZE):
        batch = order[start : start + BATCH_SIZE]
        read = _details(table, batch, details)
        for row in batch:
            previous = stream.copy()
            part = stream.compress(_line(read[row])) + stream.flush(zlib.Z_SYNC_FLUSH)
            cost = len(part) + len(zlib.compress(_row_bytes(table, row), 6))  # slightly overestimates the table
            if used + cost > available:
                stream = previous
                break
            used += cost
            kept.append(row)
            parts.append(part)
        if len(kept) < start + len(batch):
            break
    parts.append(stream.compress(_line(table_json(table.select(kept), names, regimes))) + stream.flush())
    return base64.b64encode(b"".join(parts)).decode() if kept else ""


def _row_bytes(table: ExampleTable, row: int) -> bytes:
    """Approximately the bytes of a row in the table."""
    e = table.examples[row]
    return _line([e.id, e.question, e.answer, table.marks[row], table.nll[row]])


def _details(table: ExampleTable, rows: Sequence[int], details: Reader) -> dict[int, dict[str, Any]]:
    read: dict[int, dict[str, Any]] = {}
    for split in dict.fromkeys(table.split[row] for row in rows):
        row_of = {table.examples[row].id: row for row in rows if table.split[row] == split}
        of_split = details(split, [table.examples[row] for row in row_of.values()])
        read |= {row_of[identity]: detail for identity, detail in of_split.items()}
    return read


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"
