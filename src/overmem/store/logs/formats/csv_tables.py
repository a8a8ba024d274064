"""CSV: Lightning, Keras, fastai, model cards, and what Weights & Biases exports (charts and histories)."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from overmem.errors import BadRequest
from overmem.store.logs.files import printable, text_of
from overmem.store.logs.metrics import EPOCHS, STEPS, fold, metric_of
from overmem.store.logs.rows import LogPart, clean, rows_of

_UNIT = re.compile(r"\s*(\(\s*[%↑↓]\s*\)|[%↑↓])")
_BRACKETED = re.compile(r"(.*)\((.+)\)\s*$")
_DECIMAL_COMMA = re.compile(r"^\s*([+-]?\d+),(\d+)\s*$")
_SPREAD = ("__MIN", "__MAX")
"""Endings of the columns with minima and maxima in a W&B chart."""


def read_csv(path: Path) -> list[LogPart]:
    """The rows of a table, one part per run if its columns are named `<run> - <metric>`, as W&B does.

    Raises:
        BadRequest: it is not a table, or a run has two columns of the same name.
    """
    text = text_of(path)
    first = text.split("\n", 1)[0]
    separator = max("\t;,", key=first.count)
    try:
        lines = list(csv.reader(io.StringIO(text), delimiter=separator))
    except csv.Error as error:
        raise BadRequest(f"{printable(path)} is not a CSV: {clean(str(error))}") from error
    lines = [line for line in lines if any(cell.strip() for cell in line)]
    if separator == ";":  # as spreadsheets write it where the comma is the decimal one, in thousands too
        lines = [[_DECIMAL_COMMA.sub(r"\1.\2", cell) for cell in line] for line in lines]
    return table_parts(path, lines[0], lines[1:]) if lines else [LogPart(path, ())]


def table_parts(path: Path, headings: Sequence[str], lines: Sequence[Sequence[str]]) -> list[LogPart]:
    """The parts of a table that is already split into cells.

    Raises:
        BadRequest: a run has two columns of the same name.
    """
    headings = _plain_headings(headings)
    columns = [(i, *_run_and_metric(name.strip())) for i, name in enumerate(headings) if not name.endswith(_SPREAD)]
    runs = list(dict.fromkeys(run for _, run, _ in columns if run)) or [""]
    parts = []
    for run in runs:
        run_columns = [(i, metric) for i, owner, metric in columns if owner in ("", run)]
        names = [metric for _, metric in run_columns]
        if len(set(names)) < len(names):
            repeated = next(name for name in names if names.count(name) > 1)
            raise BadRequest(f"{printable(path)} has several columns named {clean(repeated)!r}; expected one")
        entries = [{metric: line[i] for i, metric in run_columns if i < len(line)} for line in lines]
        parts.append(LogPart(path, rows_of(entries), run=clean(run)))
    return parts


def _plain_headings(headings: Sequence[str]) -> list[str]:
    """The column names without units and arrows; a name that is recognized only by its part in brackets is that part.

    >>> _plain_headings(["Kayıp (Eval Loss)", "WER (%)", "Accuracy ↑", "a - eval/loss"])
    ['Eval Loss', 'WER', 'Accuracy', 'a - eval/loss']
    """
    plain = []
    for name in headings:
        bare = _UNIT.sub("", name).strip() or name
        inside = _BRACKETED.match(bare)
        plain.append(
            inside[2].strip() if inside and _is_recognized(inside[2]) and not _is_recognized(inside[1]) else bare
        )
    return plain if len(set(plain)) == len(set(headings)) else list(headings)


def _is_recognized(name: str) -> bool:
    metric = metric_of(name)
    return fold(name) in (*STEPS, *EPOCHS) or metric is None or metric.direction.kind != "other"


def _run_and_metric(name: str) -> tuple[str, str]:
    run, _, metric = name.rpartition(" - ")
    return run.strip(), metric.strip()
