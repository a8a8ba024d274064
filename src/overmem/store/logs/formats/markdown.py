"""Markdown: the table of training results in a model card."""

import re
from pathlib import Path

from overmem.store.logs.files import text_of
from overmem.store.logs.formats.csv_tables import table_parts
from overmem.store.logs.rows import LogPart

_RULE = re.compile(r"^\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?$")
_RESULTS = re.compile(r"loss|epoch|step", re.IGNORECASE)


def read_markdown(path: Path) -> list[LogPart]:
    """The first table of a page whose head names a loss, an epoch or a step, with a row per evaluation."""
    lines = [line.strip() for line in text_of(path).splitlines()]
    for i in range(1, len(lines)):
        if "|" in lines[i - 1] and _RULE.match(lines[i]) and _RESULTS.search(lines[i - 1]):
            body = []
            for line in lines[i + 1 :]:
                if "|" not in line:
                    break
                body.append(_cells(line))
            return table_parts(path, _cells(lines[i - 1]), body)
    return [LogPart(path, ())]


def _cells(line: str) -> list[str]:
    return [cell.strip().strip("*`") for cell in line.strip("|").split("|")]
