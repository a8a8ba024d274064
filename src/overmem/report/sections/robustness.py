"""How accuracy changes when a question is rephrased: each shift, paired on the same questions."""

from typing import Any

from overmem.records import SplitName
from overmem.report.charts import Rows, row
from overmem.report.figures import coloured, compared, course, curves, dots
from overmem.report.findings import Findings, has_value
from overmem.report.markup import Section, nothing, render
from overmem.report.numbers import estimate_text
from overmem.statistics import negated

PAIRED = {
    "accuracy_drop": "points",
    "mcnemar_p": "p",
    "pdr": "share",
    "asp": "percent",
    "consistency": "percent",
    "limem": "percent",
}
"""Metric -> unit, in the order of the table's columns."""


POINTS = "datum.value == 0 ? '0' : format(-datum.value * 100, '+.3~f')"
"""A loss is stored as a positive number and shown with a minus."""
TITLE = "Robustness"


def robustness(findings: Findings) -> Section:
    """The accuracy lost to each shift, at the recommended checkpoint and the late one, and along the run."""
    colours = compared(findings)
    shifts = [
        s
        for s in findings.splits
        if SplitName.parse(s).base == "test" and SplitName.parse(s).shift and _measured(findings, s)
    ]
    drops: Rows = []
    for split in shifts:
        for name in colours:
            drop = findings.measured(name, split, ("robustness", "accuracy_drop"))
            if has_value(drop):
                text = estimate_text(negated(drop), "points")
                drops.append(row(0, drop, "points", line=name, name=SplitName.parse(split).shift_variant, text=text))
    charts: dict[str, Any] = {}
    if drops:
        charts["drops"] = dots(drops, colours, "change of accuracy, points", form=POINTS, is_loss=True)
    for key, metric, form in (("mean", "mean_accuracy_drop", ".0%"), ("always", "solved_always", ".0%")):
        rows = course(findings, metric, "test", ("robustness", metric), "points" if key == "mean" else "percent")
        if rows:
            charts[key] = curves(findings, rows, coloured([metric]), form)
    table = [
        {"shift": SplitName.parse(split).shift_variant, "checkpoint": name}
        | {metric: findings.measured(name, split, ("robustness", metric)) for metric in PAIRED}
        | {"change": negated(findings.measured(name, split, ("robustness", "accuracy_drop")))}
        for split in shifts
        for name in colours
    ]
    if not table:
        return nothing(
            TITLE, "No shifted split was measured. Audit with --shifts, such as --shifts preamble typos names."
        )
    body = render("robustness.html.j2", charts=charts, table=table, colours=colours, units=PAIRED)
    lead = "The same test questions, rephrased: a model that has learned to solve them keeps its accuracy."
    return Section(TITLE, body, charts, lead)


def _measured(findings: Findings, split: str) -> bool:
    return any(has_value(findings.measured(name, split, ("robustness", "accuracy_drop"))) for name in findings.compared)
