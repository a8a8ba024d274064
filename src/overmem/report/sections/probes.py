"""Every other number that was measured: one small chart a metric, one line a split.

A probe that has no section of its own is shown here as soon as it is measured.
"""

from collections.abc import Iterable
from typing import Any

import altair as alt

from overmem.probes import PROBES
from overmem.records import Measurement
from overmem.report.charts import Rows, background, data, domain_of, row, specification, step_axis, value_axis
from overmem.report.findings import Findings, estimate_of_row, has_value
from overmem.report.markup import Section, render
from overmem.tables import first_line

ELSEWHERE = {("perplexity", "nll"), ("accuracy", "accuracy")}
"""(probe, metric) that other sections draw on train, val and test."""
LINES = tuple(f"var(--series-{i})" for i in range(1, 9))


def probes(findings: Findings) -> Section:
    """The probes in folds, the metrics of each side by side."""
    trained = {c.checkpoint.name for c in findings.trained}
    rows = [m for m in findings.measurements if m.checkpoint in trained and not _drawn_elsewhere(m)]
    splits = tuple(dict.fromkeys(m.split for m in rows))
    charts: dict[str, Any] = {}
    folds = []
    for probe in dict.fromkeys(m.probe for m in rows):
        figures, reasons = [], []
        for metric in dict.fromkeys(m.metric for m in rows if m.probe == probe):
            found = [m for m in rows if m.probe == probe and m.metric == metric]
            if not any(has_value(estimate_of_row(m)) for m in found):
                reasons.append({"metric": metric, "note": next((m.note for m in found if m.note), "not measured")})
                continue
            key = f"{len(charts)}"
            charts[key] = small_multiple(findings, found, splits)
            known = [m for m in found if m.value is not None]
            figures.append({"key": key, "metric": metric, "n": sorted({m.n for m in known})})
        about = first_line(PROBES[probe]) if probe in PROBES else ""
        folds.append(
            {
                "probe": probe,
                "about": about,
                "figures": figures,
                "splits": _splits(m for m in rows if m.probe == probe and m.value is not None),
                "reasons": reasons,
            }
        )
    colours = dict(zip(splits, LINES * (len(splits) // len(LINES) + 1), strict=False))
    body = render("probes.html.j2", folds=folds, colours=colours)
    return Section(
        "Everything else that was measured", body, charts, "Each with its 95% interval. Point at a mark for its number."
    )


def _drawn_elsewhere(m: Measurement) -> bool:
    if (m.probe, m.metric) in ELSEWHERE and m.split in ("train", "val", "test"):
        return True
    return "_bin_" in m.metric  # points of a curve, not numbers of their own


def _splits(rows: Iterable[Measurement]) -> list[str]:
    return list(dict.fromkeys(m.split for m in rows))


def small_multiple(findings: Findings, found: list[Measurement], splits: tuple[str, ...]) -> dict[str, Any]:
    """One metric along the run, a line a split, with intervals."""
    rows: Rows = [
        row(m.step, estimate_of_row(m), "number", split=m.split, checkpoint=m.checkpoint)
        for m in found
        if has_value(estimate_of_row(m))
    ]
    x = step_axis(findings)
    started = [m for m in found if m.step > 0] or found
    y = value_axis("value", "", domain_of(estimate_of_row(m) for m in started), ".3~r")
    scale = alt.Scale(domain=list(splits), range=list(LINES))
    colour = alt.Color("split:N", scale=scale, legend=None)
    told = [alt.Tooltip(f"{f}:N") for f in ("checkpoint", "split", "text", "n")]
    known = [r for r in rows if r["low"] is not None and r["high"] is not None]
    ends = alt.Y("low:Q", title="")
    bars = alt.Chart(data(known)).mark_rule(opacity=0.5, clip=True).encode(x=x, y=ends, y2="high:Q", color=colour)
    line = alt.Chart(data(rows)).mark_line(strokeWidth=1.5, clip=True).encode(x=x, y=y, color=colour)
    points = alt.Chart(data(rows)).mark_point(filled=True, size=36, opacity=1, clip=True)
    points = points.encode(x=x, y=y, color=colour, tooltip=told)
    return specification([background(findings, x, strength=0.6), bars, line, points], 140)
