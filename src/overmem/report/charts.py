"""What every chart shares: the theme, the regimes as background, and layers of points with intervals.

Colours are CSS variables, so one drawing serves the light scheme, the dark one and paper.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from overmem.records import REGIMES, Estimate
from overmem.report.findings import Findings, has_value
from overmem.report.numbers import estimate_text
from overmem.report.vega import Chart, Spec, channel

Rows: TypeAlias = list[dict[str, Any]]
Domain: TypeAlias = tuple[float, float]
Layer: TypeAlias = Chart

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""The language of the charts; nothing is fetched from there."""

LEFT = 54
"""Width in pixels of every vertical axis, so that charts above each other line up."""

FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"

THEME: Mapping[str, Any] = {
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": None},
    "autosize": {"type": "fit-x", "contains": "padding"},
    "padding": {"left": 0, "right": 12, "top": 4, "bottom": 4},
    "axis": {
        "labelColor": "var(--quiet)",
        "labelFontSize": 12,
        "titleColor": "var(--quiet)",
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "domain": False,
        "ticks": False,
        "gridColor": "var(--ink)",
        "gridOpacity": 0.08,
        "labelPadding": 8,
        "titlePadding": 8,
    },
    "legend": {"disable": True},  # the page has legends of its own; a saved chart turns this one on
    "text": {"color": "var(--ink)", "fontSize": 12},
    "line": {"strokeJoin": "round"},
}

WIDTH = 480
"""Width in points of a saved chart."""

ON_PAPER: Mapping[str, Any] = {
    "legend": {"disable": False, "orient": "bottom", "title": None, "labelColor": "var(--ink)", "columns": 4},
    "background": "white",
    "font": "Liberation Sans, Helvetica, Arial, sans-serif",
    "autosize": {"type": "pad"},
}
"""What of the theme is different in a chart that is saved."""


def step_domain(findings: Findings) -> Domain:
    """First and last step with a little room on both sides."""
    steps = [c.checkpoint.step for c in findings.trained] or [0]
    room = max(max(steps) - min(steps), 1) * 0.025
    return min(steps) - room, max(steps) + room


def step_axis(findings: Findings, *, labels: bool = True) -> Spec:
    """The horizontal axis: optimizer steps, ticked at whole epochs with the epoch below where epochs were logged."""
    last = next((c.checkpoint for c in reversed(findings.trained) if c.checkpoint.epoch and c.checkpoint.step), None)
    axis: Spec = dict(labels=labels, title="optimizer step", labelExpr="format(datum.value, ',')", grid=False)
    axis |= dict(tickCount=7, labelFlush=True)
    if last is not None and last.epoch:
        per_epoch = last.step / last.epoch
        epoch = f"format(datum.value / {per_epoch!r}, '.3~f')"
        if last.epoch >= 2:
            every = _whole_epochs(last.epoch)
            axis["values"] = [round(k * per_epoch) for k in range(0, math.floor(last.epoch + 0.01) + 1, every)]
            epoch = f"round(datum.value / {per_epoch!r})"
        axis |= dict(labelExpr=f"[format(datum.value, ','), {epoch}]", title="optimizer step · epoch below")
    axis["title"] = axis["title"] if labels else None
    return channel("step:Q", scale=dict(domain=list(step_domain(findings)), nice=False, zero=False), axis=axis)


def _whole_epochs(last: float) -> int:
    """Epochs from one tick to the next, so that there are at most eight of them."""
    return next((n for n in (1, 2, 4, 5, 10, 20, 25, 50, 100) if last / n <= 8), math.ceil(last / 8))


def value_axis(field: str, title: str, domain: Domain, form: str) -> Spec:
    """A vertical axis of fixed width."""
    axis = dict(title=None, format=form, tickCount=4, minExtent=LEFT, maxExtent=LEFT)
    scale = dict(domain=list(domain), nice=False, zero=False, clamp=False)
    return channel(f"{field}:Q", title=title, scale=scale, axis=axis)


def domain_of(estimates: Iterable[Estimate], *, low: float = -math.inf, high: float = math.inf) -> Domain:
    """A range that holds every value with its interval, with some room, inside [low, high]."""
    ends = [
        x for e in estimates if has_value(e) for x in (e.value, e.low, e.high) if x is not None and math.isfinite(x)
    ]
    if not ends:
        return max(low, 0.0), max(low, 0.0) + 1
    room = (max(ends) - min(ends)) * 0.08 or abs(max(ends)) * 0.05 or 0.5
    return max(low, min(ends) - room), min(high, max(ends) + room)


def spans(findings: Findings) -> Rows:
    """Each judged checkpoint's share of the horizontal axis: halfway to its neighbours."""
    trained, (first, last) = findings.trained, step_domain(findings)
    steps = [c.checkpoint.step for c in trained]
    edges = [first, *((a + b) / 2 for a, b in pairwise(steps)), last]
    return [
        {"name": c.checkpoint.name, "regime": c.regime, "step": edges[i], "end": edges[i + 1]}
        for i, c in enumerate(trained)
    ]


def bands(findings: Findings) -> Rows:
    """Stretches of one regime, merged over neighbouring checkpoints."""
    rows: Rows = []
    for span in spans(findings):
        if rows and rows[-1]["regime"] == span["regime"]:
            rows[-1]["end"] = span["end"]
        else:
            rows.append(dict(span))
    return rows


def background(findings: Findings, x: Spec, *, strength: float = 1.0) -> Layer:
    """The regimes as coloured bands."""
    present = [key for key in REGIMES if key in {band["regime"] for band in bands(findings)}]
    colours = dict(domain=present, range=[f"var(--{key})" for key in present])
    drawn: Layer = (
        Chart(data(bands(findings)))
        .mark_rect(opacity=strength)
        .encode(x=x, x2="end:Q", fill=channel("regime:N", scale=colours))
    )
    return drawn


def data(rows: Sequence[Mapping[str, Any]]) -> Spec:
    """Rows as they are embedded in the page; a value that is not a finite number is null."""
    clean = [{k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()} for row in rows]
    return {"values": clean}


def row(step: int, estimate: Estimate, unit: str, **more: Any) -> dict[str, Any]:
    """One point of a chart: step, value, interval and n, and the same as text for the tooltip."""
    return {
        "step": step,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
        "text": estimate_text(estimate, unit),
    } | more


def whiskers(rows: Rows, x: Spec, y: Spec, colour: str = "var(--ink)") -> list[Layer]:
    """A line through the values, a point on each, and its 95% interval."""
    base = Chart(data(rows)).encode(x=x)
    size, width = (60, 1.75) if len(rows) <= 40 else (14, 1.25)
    with_interval = [r for r in rows if r["low"] is not None and r["high"] is not None]
    ends = channel("low:Q", title=None)
    intervals = Chart(data(with_interval)).mark_rule(color=colour, strokeWidth=1.25, opacity=0.75, clip=True)
    line = base.mark_line(color=colour, strokeWidth=width, clip=True).encode(y=y)
    points = base.mark_point(color=colour, filled=True, size=size, opacity=1, clip=True).encode(y=y)
    return [intervals.encode(x=x, y=ends, y2="high:Q"), line, points]


def specification(layers: Sequence[Layer], height: int) -> Spec:
    """The layers over each other as Vega-Lite, as wide as the page lets them be; equal rows stand in it once."""
    names: dict[str, str] = {}
    datasets: dict[str, Rows] = {}
    drawn = []
    for layer in layers:
        values = layer.data["values"]
        name = names.setdefault(json.dumps(values), f"rows-{len(names)}")
        datasets[name] = values
        drawn.append({**layer.spec(), "data": {"name": name}})
    more: Spec = {
        "width": "container",
        "height": height,
        "datasets": datasets,
        "usermeta": {"rows": _numbers(datasets)},
    }
    return {"$schema": SCHEMA, "layer": drawn, **more}


def _numbers(datasets: Mapping[str, Rows]) -> list[str]:
    """Names of the datasets that hold a chart's numbers: values with what they are of, each once."""
    with_value = {name: rows for name, rows in datasets.items() if rows and "value" in rows[0]}
    measured = {name: rows for name, rows in with_value.items() if "n" in rows[0]}
    tables = measured or {name: rows for name, rows in with_value.items() if "step" in rows[0]}
    kept: list[str] = []
    for name in sorted(tables, key=lambda name: -len(tables[name])):
        if not any(all(row in tables[other] for row in tables[name]) for other in kept):
            kept.append(name)
    return sorted(kept)
