"""Examples inside a page: one line of JSON for each example and a last one for the table, compressed."""

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

from overmem import store
from overmem.explorer.choice import compared, most_telling
from overmem.explorer.details import read_details
from overmem.explorer.page_data import table_json
from overmem.explorer.table import ExampleTable
from overmem.records import Verdict

READ_AT_ONCE = 500
"""Examples whose details are read together."""


def embedded(run: store.Run, table: ExampleTable, verdict: Verdict | None, size: int) -> str:
    """As many examples as fit into `size` bytes, the most telling first, as base64 of zlib of lines of JSON.

    Empty where none fits. Sampled completions are kept at the two compared checkpoints alone, greedy ones at all.

    Args:
        run: the run.
        table: all of its examples.
        verdict: names the checkpoints to compare, where there is one.
        size: most bytes of the text that is returned.
    """
    names = compared(verdict, table.checkpoints)
    order = most_telling(table, names)
    stream = zlib.compressobj(6)
    parts: list[bytes] = []
    used, room = 0, size // 4 * 3 - 64  # base64 makes four bytes of three
    kept: list[int] = []
    for start in range(0, len(order), READ_AT_ONCE):
        batch = order[start : start + READ_AT_ONCE]
        details = _details(run, table, batch, names)
        for row in batch:
            before = stream.copy()
            part = stream.compress(_line(details[row])) + stream.flush(zlib.Z_SYNC_FLUSH)
            cost = len(part) + len(zlib.compress(_row_bytes(table, row), 6))  # of the table a little too much
            if used + cost > room:
                stream = before
                break
            used += cost
            kept.append(row)
            parts.append(part)
        if len(kept) < start + len(batch):
            break
    parts.append(stream.compress(_line(table_json(table.chosen(kept), verdict))) + stream.flush())
    return base64.b64encode(b"".join(parts)).decode() if kept else ""


def _row_bytes(table: ExampleTable, row: int) -> bytes:
    """About what a row takes in the table."""
    e = table.examples[row]
    return _line([e.id, e.question, e.answer, table.marks[row], table.nll[row]])


def _details(
    run: store.Run, table: ExampleTable, rows: Sequence[int], names: Sequence[str]
) -> dict[int, dict[str, Any]]:
    details: dict[int, dict[str, Any]] = {}
    for split in dict.fromkeys(table.split[row] for row in rows):
        here = {table.examples[row].id: row for row in rows if table.split[row] == split}
        read = read_details(run, split, [table.examples[row] for row in here.values()], names)
        details |= {here[identity]: detail for identity, detail in read.items()}
    return details


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"
