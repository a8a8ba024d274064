"""CSV: Lightning, Keras, fastai, model cards, and what Weights & Biases exports (charts and histories)."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from overmem.errors import BadRequest
from overmem.store.logs.files import shown, text_of
from overmem.store.logs.metrics import EPOCHS, STEPS, fold, metric_of
from overmem.store.logs.rows import LogPart, clean, rows_of

_UNIT = re.compile(r"\s*(\(\s*[%↑↓]\s*\)|[%↑↓])")
_BRACKETED = re.compile(r"(.*)\((.+)\)\s*$")
_SPREAD = ("__MIN", "__MAX")
"""Endings of the columns with minima and maxima in a W&B chart."""


def read_csv(path: Path) -> list[LogPart]:
    """The rows of a table, a part per run where its columns are named `<run> - <metric>` as W&B does.

    Raises:
        BadRequest: no table, or two columns of one name for one run.
    """
    text = text_of(path)
    first = text.split("\n", 1)[0]
    try:
        lines = list(csv.reader(io.StringIO(text), delimiter=max("\t;,", key=first.count)))
    except csv.Error as error:
        raise BadRequest(f"{shown(path)} is not a CSV: {clean(str(error))}") from error
    lines = [line for line in lines if any(cell.strip() for cell in line)]
    return table_parts(path, lines[0], lines[1:]) if lines else [LogPart(path, ())]


def table_parts(path: Path, head: Sequence[str], lines: Sequence[Sequence[str]]) -> list[LogPart]:
    """The parts of a table that is already split into cells.

    Raises:
        BadRequest: two columns of one name for one run.
    """
    head = _plain_heads(head)
    columns = [(i, *_run_and_metric(name.strip())) for i, name in enumerate(head) if not name.endswith(_SPREAD)]
    runs = list(dict.fromkeys(run for _, run, _ in columns if run)) or [""]
    parts = []
    for run in runs:
        mine = [(i, metric) for i, owner, metric in columns if owner in ("", run)]
        names = [metric for _, metric in mine]
        if len(set(names)) < len(names):
            double = next(name for name in names if names.count(name) > 1)
            raise BadRequest(f"{shown(path)} has several columns named {clean(double)!r}: which one is meant?")
        entries = [{metric: line[i] for i, metric in mine if i < len(line)} for line in lines]
        parts.append(LogPart(path, rows_of(entries), run=clean(run)))
    return parts


def _plain_heads(head: Sequence[str]) -> list[str]:
    """The names of columns without units and arrows; one in another language by what it has in brackets.

    >>> _plain_heads(["Kayıp (Eval Loss)", "WER (%)", "Accuracy ↑", "a - eval/loss"])
    ['Eval Loss', 'WER', 'Accuracy', 'a - eval/loss']
    """
    plain = []
    for name in head:
        bare = _UNIT.sub("", name).strip() or name
        inside = _BRACKETED.match(bare)
        plain.append(inside[2].strip() if inside and _is_known(inside[2]) and not _is_known(inside[1]) else bare)
    return plain if len(set(plain)) == len(set(head)) else list(head)


def _is_known(name: str) -> bool:
    metric = metric_of(name)
    return fold(name) in (*STEPS, *EPOCHS) or metric is None or metric.direction.kind != "other"


def _run_and_metric(name: str) -> tuple[str, str]:
    run, _, metric = name.rpartition(" - ")
    return run.strip(), metric.strip()
