"""Measurements of overmem 0.1.0, which had k, bin, rank and example in a metric's name or note instead of in `at`."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from overmem.records import Measurement

_Values: TypeAlias = dict[str, float | int | str]


def from_0_1_0(rows: Iterable[Measurement]) -> list[Measurement]:
    """The same numbers with `at` filled, and with the present names and notes of metrics.

    Rows at a temperature other than the one with the most draws come last, as they do now.
    """
    table = sorted(rows, key=lambda row: row.probe == "diversity" and "/t=" in row.metric)
    return [_PROBES[row.probe](row) if row.probe in _PROBES else row for row in table]


def _diversity(row: Measurement) -> Measurement:
    metric, _, suffix = row.metric.partition("/t=")
    at: _Values = {}
    if match := re.fullmatch(r"(\w+[@^])(\d+)", metric):
        metric, at["k"] = f"{match[1]}k", int(match[2])
    *rest, last = row.note.split("; ")
    if match := re.fullmatch(r"temperature (\S+)", last):
        at["temperature"] = float(suffix or match[1])
        return replace(row, metric=metric, at=at, note="; ".join(rest))
    return replace(row, metric=metric, at=at)


def _calibration(row: Measurement) -> Measurement:
    match = re.fullmatch(r"(\w+_bin)_(\d\d)", row.metric)
    return replace(row, metric=match[1], at={"bin": int(match[2])}) if match else row


def _membership(row: Measurement) -> Measurement:
    if row.metric.startswith("lt_iqr/"):
        return replace(row, metric="lt_iqr", at={"example": row.metric.removeprefix("lt_iqr/")})
    match = re.fullmatch(r"(exposed|lt_iqr)_(\d\d)", row.metric)
    if match is None:
        return row
    metric, at = ("exposed" if match[1] == "exposed" else "lt_iqr_exposed"), {"rank": int(match[2])}
    if row.value is None:
        return replace(row, metric=metric, at=at)
    example, _, rest = row.note.partition(" ")
    if metric == "lt_iqr_exposed":
        return replace(row, metric=metric, at={**at, "example": example}, note=rest)
    return replace(row, metric=metric, at={**at, "example": example, "by": rest.removeprefix("by ")}, note="")


def _mechanism(row: Measurement) -> Measurement:
    *rest, last = row.note.split("; ")
    if not last.startswith("against "):
        return row
    return replace(row, note="; ".join(rest), at={"reference": last.removeprefix("against ")})


_PROBES: Mapping[str, Callable[[Measurement], Measurement]] = {
    "diversity": _diversity,
    "calibration": _calibration,
    "membership": _membership,
    "mechanism": _mechanism,
}
