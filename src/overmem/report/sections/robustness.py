"""What a harmless change of the question costs: each shift, paired on the same questions."""

from typing import Any

from overmem.records import SplitName
from overmem.report.charts import Rows, row
from overmem.report.figures import coloured, compared, course, curves, dots
from overmem.report.findings import Findings, has_value
from overmem.report.markup import Section, render

PAIRED = {
    "accuracy_drop": "points",
    "mcnemar_p": "p",
    "pdr": "share",
    "asp": "percent",
    "consistency": "percent",
    "limem": "percent",
}
"""Metric -> unit, in the order of the table's columns."""


POINTS = "datum.value == 0 ? '0' : format(datum.value * 100, '+.3~f')"


def robustness(findings: Findings) -> Section:
    """The accuracy that each shift takes, at the recommended checkpoint and the late one, and along the run."""
    colours = compared(findings)
    shifts = [
        s
        for s in findings.splits
        if SplitName.parse(s).base == "test" and SplitName.parse(s).shift and _measured(findings, s)
    ]
    drops: Rows = []
    for split in shifts:
        for name in colours:
            found = findings.measured(name, split, ("robustness", "accuracy_drop"))
            if has_value(found):
                drops.append(row(0, found, "points", line=name, name=SplitName.parse(split).wording))
    charts: dict[str, Any] = {}
    if drops:
        charts["drops"] = dots(drops, colours, "points of accuracy lost", form=POINTS)
    for key, metric, form in (("mean", "mean_accuracy_drop", "+.0%"), ("always", "solved_always", ".0%")):
        rows = course(findings, metric, "test", ("robustness", metric), "points" if key == "mean" else "percent")
        if rows:
            charts[key] = curves(findings, rows, coloured([metric]), form)
    table = [
        {"shift": SplitName.parse(split).wording, "checkpoint": name}
        | {metric: findings.measured(name, split, ("robustness", metric)) for metric in PAIRED}
        for split in shifts
        for name in colours
    ]
    body = render("robustness.html.j2", charts=charts, table=table, colours=colours, units=PAIRED)
    lead = "The same test questions told otherwise: whoever has learnt to solve them does not mind."
    return Section("Robustness", body, charts, lead if table else "")


def _measured(findings: Findings, split: str) -> bool:
    return any(has_value(findings.measured(name, split, ("robustness", "accuracy_drop"))) for name in findings.compared)
