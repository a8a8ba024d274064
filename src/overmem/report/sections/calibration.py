"""Whether the model's confidence matches its accuracy, at the recommended checkpoint and the late one."""

from itertools import product
from typing import Any

from overmem.records import Estimate
from overmem.report.charts import LEFT, Rows, data, specification
from overmem.report.findings import Findings, estimate_of_row, has_value
from overmem.report.markup import Section, nothing, render
from overmem.report.numbers import estimate_text
from overmem.report.vega import Chart, channel

LEVELS = {
    "token": "next tokens of the reference solutions",
    "completion": "greedy completions",
    "answer": "agreement among sampled completions",
}
ERRORS = {"ece": "calibration error", "overconfidence": "overconfidence"}
TITLE = "Calibration"
COLOURS = ("var(--ship)", "var(--onset)")


def calibration(findings: Findings) -> Section:
    """Reliability curves at each level, and the errors in numbers."""
    split = "test" if "test" in findings.splits else findings.chosen_on
    names = findings.compared
    charts: dict[str, Any] = {}
    for level in LEVELS:
        rows = [row for name in names for row in bins(findings, name, split, level)]
        if rows:
            charts[level] = reliability(rows, names)
    table = []
    for level, (key, error) in product(LEVELS, ERRORS.items()):
        estimates = [_error(findings, name, split, level, key) for name in names]
        if any(has_value(e) for e in estimates):
            table.append({"level": LEVELS[level], "error": error, "estimates": estimates})
    if not charts and not table:
        return nothing(TITLE, "Calibration was not measured at the checkpoints to compare.")
    colours = dict(zip(names, COLOURS, strict=False))
    body = render("calibration.html.j2", charts=charts, table=table, names=names, levels=LEVELS, colours=colours)
    lead = f"Confidence against accuracy, on {split} examples. A calibrated model is on the diagonal."
    return Section(TITLE, body, charts, lead if charts else "")


def _error(findings: Findings, name: str, split: str, level: str, key: str) -> Estimate:
    return findings.measured(name, split, ("calibration", f"{level}_{key}"))


def bins(findings: Findings, name: str, split: str, level: str) -> Rows:
    """Each bin's mean confidence and its accuracy with the interval."""
    rows: Rows = []
    for m in findings.by_key.get((name, split, "calibration", f"{level}_confidence_bin"), ()):
        confidence = estimate_of_row(m)
        right = findings.measured(name, split, ("calibration", f"{level}_accuracy_bin"), **m.at)
        if has_value(confidence) and has_value(right):
            rows.append(
                {"checkpoint": name, "confidence": confidence.value, "value": right.value, "n": right.n}
                | {"low": right.low, "high": right.high, "text": estimate_text(right, "percent")}
            )
    return rows


def reliability(rows: Rows, names: tuple[str, ...]) -> dict[str, Any]:
    """The curves of both checkpoints about the diagonal."""
    unit = dict(domain=[0, 1])
    x = channel("confidence:Q", scale=unit, title="confidence", axis=dict(format=".0%", tickCount=5))
    y = channel("value:Q", scale=unit, title=None, axis=dict(format=".0%", tickCount=5, minExtent=LEFT, maxExtent=LEFT))
    colour = channel("checkpoint:N", scale=dict(domain=list(names), range=list(COLOURS)))
    ends = [{"confidence": 0, "value": 0}, {"confidence": 1, "value": 1}]
    diagonal = Chart(data(ends)).mark_line(color="var(--ink)", opacity=0.45, strokeDash=[2, 3], strokeWidth=1.25)
    base = Chart(data(rows)).encode(x=x, color=colour)
    tooltip = [channel("checkpoint:N"), channel("confidence:Q", format=".1%")]
    tooltip += [channel("text:N", title="accuracy"), channel("n:Q")]
    whisker = base.mark_rule(opacity=0.6).encode(y=channel("low:Q", title=""), y2="high:Q")
    points = base.mark_point(filled=True, size=55, opacity=1).encode(y=y, tooltip=tooltip)
    layers: list[Any] = [diagonal.encode(x=x, y=y), whisker, base.mark_line(strokeWidth=1.5).encode(y=y), points]
    return specification(layers, 230)
