"""What a search for a merge found: the path between two checkpoints, what each rule picks, and what test says."""

import math
from typing import Any

from overmem.records import Estimate
from overmem.records.searches import MergeCandidate, MergeLine, MergeSearch
from overmem.report.charts import Rows, data, domain_of, row, specification, value_axis
from overmem.report.figures import coloured, dash_and_shape
from overmem.report.findings import ACCURACY, NLL, Findings, has_value
from overmem.report.markup import Section, nothing, render
from overmem.report.numbers import UNITS, estimate_text
from overmem.report.vega import Chart, channel

TITLE = "Merges"
HEIGHT = 150
MOST_LABELLED = 10
"""Checkpoints in the figure of weights whose weights are written as well."""
RULES = {
    "pair": "the paper's pair",
    "line": "line of two checkpoints",
    "base-line": "line from the base (WiSE)",
    "uniform": "uniform soup",
    "window": "window (LAWA)",
    "wsm": "decay (WSM)",
    "ema": "exponential average",
    "nll": "weighted by nll",
    "greedy": "greedy soup",
    "simplex": "optimised weights",
}


def merges(findings: Findings) -> Section:
    """The path, the weights, each rule's pick, and the winner against the best single checkpoint on test."""
    search = findings.search
    if search is None:
        return nothing(TITLE, "No merge was searched for. Search with overmem merge RUN --search.")
    charts: dict[str, Any] = {}
    for number, line in enumerate(search.lines):
        drawn = {"nll": _nll(line), "accuracy": _answers(line, search.draws)}
        charts |= {f"{what}-{number}": spec for what, spec in drawn.items() if spec is not None}
    picked = picks(search)
    if picked:
        charts["weights"] = _weights(findings, picked)
    body = render(
        "merges.html.j2",
        charts=charts,
        search=search,
        picks=picked,
        title=merge_title(search),
        single=[findings.measured(search.single, findings.chosen_on, what) for what in (NLL, ACCURACY)],
        lines=lines_of,
        p=UNITS["p"].write,
    )
    return Section(TITLE, body, charts, search.reasons[0][:1].upper() + search.reasons[0][1:] + ".")


def lines_of(line: MergeLine, draws: int) -> dict[str, str]:
    """What the chart of answers shows -> its colour."""
    return coloured(dict.fromkeys(r["line"] for r in _answer_rows(line, draws)))


def merge_title(search: MergeSearch) -> str:
    """The winner in a few words."""
    winner = search.winner
    return "" if winner is None else f"{RULES.get(winner.rule, winner.rule)}: {winner.label}"


def picks(search: MergeSearch) -> dict[str, MergeCandidate]:
    """Rule -> its candidate of the lowest nll, those that answered questions first."""
    labelled = {candidate.label: candidate for candidate in search.candidates}
    best = {RULES.get(rule, rule): labelled[label] for rule, label in search.picks.items() if label in labelled}
    return dict(sorted(best.items(), key=lambda pick: not has_value(pick[1].accuracy)))


def _nll(line: MergeLine) -> dict[str, Any] | None:
    """Nll along the line, with the straight line between its ends."""
    rows = [row(0, p.nll, "nll", share=p.share, line="nll") for p in line.points if has_value(p.nll)]
    if len(rows) < 3:
        return None
    straight: Rows = [{"share": r["share"], "value": r["value"]} for r in (rows[0], rows[-1])]
    x, y = _share_axis(line), value_axis("value", "", _domain(rows), ".3~r")
    dashed = Chart(data(straight)).mark_line(strokeDash=[2, 3], color="var(--ink)", opacity=0.55).encode(x=x, y=y)
    return specification([dashed, *_points(rows, x, y)], HEIGHT)


def _answers(line: MergeLine, draws: int) -> dict[str, Any] | None:
    """Accuracy along the line, pass@k, and the accuracy on shifted and out-of-distribution questions."""
    rows = _answer_rows(line, draws)
    if not rows:
        return None
    x, y = _share_axis(line), value_axis("value", "", _domain(rows, low=0.0, high=1.0), ".0%")
    return specification(_points(rows, x, y), HEIGHT)


def _answer_rows(line: MergeLine, draws: int) -> Rows:
    measured: dict[str, list[tuple[float, Estimate]]] = {}
    for point in line.points:
        for name, estimate in {"validation": point.accuracy, f"pass@{draws}": point.passed, **point.costs}.items():
            if has_value(estimate):
                measured.setdefault(name, []).append((point.share, estimate))
    return [
        row(0, estimate, "percent", share=share, line=name)
        for name, points in measured.items()
        if len(points) > 2
        for share, estimate in points
    ]


def _points(rows: Rows, x: dict[str, Any], y: dict[str, Any]) -> list[Chart]:
    names = list(dict.fromkeys(r["line"] for r in rows))
    colours = {"nll": "var(--ink)"} if names == ["nll"] else coloured(names)
    colour = channel("line:N", scale=dict(domain=list(colours), range=list(colours.values())))
    dash, shape = dash_and_shape("line", names)
    ends = channel("low:Q", title="")
    with_interval = [r for r in rows if r["low"] is not None and r["high"] is not None]
    bars = Chart(data(with_interval)).mark_rule(opacity=0.5, clip=True).encode(x=x, y=ends, y2="high:Q", color=colour)
    drawn = Chart(data(rows)).mark_line(strokeWidth=1.75).encode(x=x, y=y, color=colour, strokeDash=dash)
    tooltip = [channel(f"{f}:N") for f in ("line", "share", "text", "n")]
    points = Chart(data(rows)).mark_point(filled=True, size=50, opacity=1)
    return [bars, drawn, points.encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip)]


def _share_axis(line: MergeLine) -> dict[str, Any]:
    title = f"weight of {line.end}, the rest is {line.start}"
    axis = dict(format=".0%", values=[0, 0.25, 0.5, 0.75, 1], grid=False, labelFlush=True)
    return channel("share:Q", title=title, axis=axis, scale=dict(domain=[-0.02, 1.02], nice=False))


def _domain(rows: Rows, *, low: float = -math.inf, high: float = math.inf) -> tuple[float, float]:
    return domain_of((Estimate(r["value"], r["low"], r["high"]) for r in rows), low=low, high=high)


def _weights(findings: Findings, picked: dict[str, MergeCandidate]) -> dict[str, Any]:
    """Weight of each checkpoint in each rule's pick."""
    used = {name for candidate in picked.values() for name in candidate.weights}
    steps = {"base": 0} | {c.checkpoint.name: c.checkpoint.step for c in findings.trained}
    names = sorted(used, key=lambda name: (steps.get(name, math.inf), name))
    shown = {name: "base" if name == "base" else name.removeprefix("checkpoint-") for name in names}
    rows: Rows = [
        {
            "rule": rule,
            "checkpoint": shown[name],
            "value": c.weights.get(name, 0.0),
            "text": f"{c.weights[name]:.2f}".removeprefix("0") if c.weights.get(name) else "",
            "n": estimate_text(c.nll, "nll"),
        }
        for rule, c in picked.items()
        for name in names
    ]
    order = list(picked)
    axis = dict(grid=False, labelLimit=200, labelColor="var(--ink)")
    x = channel("checkpoint:N", sort=list(shown.values()), title="checkpoint", axis=dict(labelAngle=0, grid=False))
    y = channel("rule:N", sort=order, title=None, axis=axis)
    tooltip = [channel("rule:N"), channel("checkpoint:N"), channel("value:Q", title="weight", format=".3f")]
    strength = channel("value:Q", scale=dict(domain=[0, 1], range=[0.04, 0.9]))
    base = Chart(data(rows)).encode(x=x, y=y, tooltip=tooltip)
    cells = base.mark_rect(color="var(--ship)").encode(opacity=strength)
    labels = base.mark_text(fontSize=11, color="var(--ink)").encode(text="text:N")
    return specification([cells, labels] if len(names) <= MOST_LABELLED else [cells], 26 * len(order))
