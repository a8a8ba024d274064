"""Every other number that was measured: one small chart a metric, one line a split.

A probe that has no section of its own is shown here as soon as it is measured.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from overmem.probes import PROBES
from overmem.records import Measurement
from overmem.report.charts import Rows, row
from overmem.report.figures import coloured, curves
from overmem.report.findings import Findings, estimate_of_row, has_value
from overmem.report.markup import Section, render
from overmem.tables import first_line

ELSEWHERE = {("perplexity", "nll"), ("accuracy", "accuracy")}
"""(probe, metric) that other sections draw on train, val and test."""
OF_ONE = ("bin", "rank", "example")
"""What the rows of a curve or of a ranking say in their `at`: they are no course along the run."""


def probes(findings: Findings) -> Section:
    """The probes in folds, the metrics of each side by side."""
    trained = {c.checkpoint.name for c in findings.trained}
    rows = [m for m in findings.measurements if m.checkpoint in trained and not _drawn_elsewhere(m)]
    colours = coloured(dict.fromkeys(m.split for m in rows))
    charts: dict[str, Any] = {}
    folds = []
    for probe in dict.fromkeys(m.probe for m in rows):
        figures, reasons = [], []
        for metric, found in _series(m for m in rows if m.probe == probe).items():
            if not any(has_value(estimate_of_row(m)) for m in found):
                reasons.append({"metric": metric, "note": next((m.note for m in found if m.note), "not measured")})
                continue
            key = f"{len(charts)}"
            charts[key] = small_multiple(findings, found, colours)
            known = [m for m in found if m.value is not None]
            figures.append({"key": key, "metric": metric, "n": sorted({m.n for m in known})})
        about = first_line(PROBES[probe].measure) if probe in PROBES else ""
        folds.append(
            {
                "probe": probe,
                "about": about,
                "figures": figures,
                "splits": _splits(m for m in rows if m.probe == probe and m.value is not None),
                "reasons": reasons,
            }
        )
    body = render("probes.html.j2", folds=folds, colours=colours)
    return Section(
        "Everything else that was measured", body, charts, "Each with its 95% interval. Point at a mark for its number."
    )


def _drawn_elsewhere(m: Measurement) -> bool:
    if (m.probe, m.metric) in ELSEWHERE and m.split in ("train", "val", "test"):
        return True
    return any(key in m.at for key in OF_ONE)


def _series(rows: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    """Name of a chart -> its rows: one for each metric and k, and each temperature where there are several."""
    table = list(rows)
    temperatures = list(dict.fromkeys(m.at["temperature"] for m in table if "temperature" in m.at))
    series: dict[str, list[Measurement]] = {}
    for m in table:
        name = m.metric.replace("@k", f"@{m.at['k']}").replace("^k", f"^{m.at['k']}") if "k" in m.at else m.metric
        if len(temperatures) > 1:
            name += f" at temperature {m.at.get('temperature', temperatures[0]):g}"
        series.setdefault(name, []).append(m)
    return series


def _splits(rows: Iterable[Measurement]) -> list[str]:
    return list(dict.fromkeys(m.split for m in rows))


def small_multiple(findings: Findings, found: list[Measurement], colours: Mapping[str, str]) -> dict[str, Any]:
    """One metric along the run, a line a split, with intervals."""
    rows: Rows = [
        row(m.step, estimate_of_row(m), "number", line=m.split, checkpoint=m.checkpoint)
        for m in found
        if has_value(estimate_of_row(m))
    ]
    return curves(findings, rows, colours, ".3~r", height=140)
