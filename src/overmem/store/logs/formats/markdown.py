"""Markdown: the table of training results in a model card."""

import re
from collections.abc import Iterator
from pathlib import Path

from overmem.store.logs.files import text_of
from overmem.store.logs.formats.csv_tables import table_parts
from overmem.store.logs.metrics import metric_of
from overmem.store.logs.rows import LogPart

_RULE = re.compile(r"^\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?$")
_RESULTS = re.compile(r"loss|epoch|step", re.IGNORECASE)


def read_markdown(path: Path) -> list[LogPart]:
    """The first table of a page that has evaluations; else the first whose head names a loss, an epoch or a step."""
    tables = list(_tables(path))
    return next((parts for parts in tables if _evaluates(parts)), tables[0] if tables else [LogPart(path, ())])


def _tables(path: Path) -> Iterator[list[LogPart]]:
    lines = [line.strip() for line in text_of(path).splitlines()]
    for i in range(1, len(lines)):
        if "|" in lines[i - 1] and _RULE.match(lines[i]) and _RESULTS.search(lines[i - 1]):
            body = []
            for line in lines[i + 1 :]:
                if "|" not in line:
                    break
                body.append(_cells(line))
            yield table_parts(path, _cells(lines[i - 1]), body)


def _evaluates(parts: list[LogPart]) -> bool:
    metrics = [metric_of(key) for part in parts for row in part.rows for key in row]
    return any(m is not None and m.is_evaluation and m.direction.kind != "other" for m in metrics)


def _cells(line: str) -> list[str]:
    return [cell.strip().strip("*`") for cell in line.strip("|").split("|")]
