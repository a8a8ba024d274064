"""Figures that several sections draw: lines along the run, and values with intervals around a line of no effect."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from overmem.records import Estimate
from overmem.report.charts import (
    Domain,
    Layer,
    Rows,
    background,
    data,
    domain_of,
    row,
    specification,
    step_axis,
    value_axis,
)
from overmem.report.findings import Findings, has_value
from overmem.report.numbers import perplexity_of, value_text
from overmem.report.vega import Chart, Spec, channel

LINES = tuple(f"var(--series-{i})" for i in range(1, 9))
ALIKE = 4
"""Lines that are drawn with the same dash and mark: colour-blind readers tell the colours of these apart."""
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
SHAPES = ("circle", "diamond", "square", "triangle-up")
TWO = ("var(--ship)", "var(--onset)")
"""Of the recommended checkpoint and of the late one that it is compared with."""


def coloured(names: Iterable[str]) -> dict[str, str]:
    """A colour for each line; a ninth begins again with the first. Dash and mark change every `ALIKE` lines."""
    return {name: LINES[i % len(LINES)] for i, name in enumerate(names)}


def compared(findings: Findings) -> dict[str, str]:
    """The recommended checkpoint and the late one, each with its colour."""
    return dict(zip(findings.compared, TWO, strict=False))


@dataclass(frozen=True)
class ComparisonRow:
    """One quantity at each of the compared checkpoints."""

    label: str
    unit: str
    estimates: tuple[Estimate, ...]
    """In the order of `findings.compared`."""


def comparison_rows(
    findings: Findings, split: str, metrics: Mapping[str, tuple[str, str, str]], **at: float | int | str
) -> list[ComparisonRow]:
    """The rows of a table of the compared checkpoints; rows without any value are left out.

    Args:
        findings: what was measured.
        split: its name.
        metrics: label -> (probe, metric, unit).
        **at: what a row's `at` must hold, as in `Findings.measured`.
    """
    rows = [
        ComparisonRow(label, unit, tuple(findings.measured(n, split, (probe, metric), **at) for n in findings.compared))
        for label, (probe, metric, unit) in metrics.items()
    ]
    return [r for r in rows if any(has_value(e) for e in r.estimates)]


def curves(
    findings: Findings,
    rows: Rows,
    colours: Mapping[str, str],
    form: str,
    *,
    height: int = 150,
    low: float = -math.inf,
    high: float = math.inf,
) -> dict[str, Any]:
    """Lines along the run with their 95% intervals; a row's `line` names the one that it belongs to.

    The base model may be so far off that it would flatten the rest, so the axis spans the trained checkpoints.
    """
    x = step_axis(findings)
    started = [r for r in rows if r["step"] > 0] or rows
    domain = domain_of((Estimate(r["value"], r["low"], r["high"]) for r in started), low=low, high=high)
    y = value_axis("value", "", domain, form)
    colour = _colour(colours)
    dash, shape = dash_and_shape("line", list(colours))
    tooltip = [channel(f"{f}:N") for f in ("checkpoint", "line", "text", "n")]
    with_interval = [r for r in rows if r["low"] is not None and r["high"] is not None]
    ends = channel("low:Q", title="")
    bars = Chart(data(with_interval)).mark_rule(opacity=0.5, clip=True).encode(x=x, y=ends, y2="high:Q", color=colour)
    line = Chart(data(rows)).mark_line(strokeWidth=1.5, clip=True).encode(x=x, y=y, color=colour, strokeDash=dash)
    points = Chart(data(rows)).mark_point(filled=True, size=36, opacity=1, clip=True)
    points = points.encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip)
    return specification([background(findings, x, strength=0.6), bars, line, points], height)


def course(findings: Findings, line: str, split: str, what: tuple[str, str], unit: str) -> Rows:
    """One metric of one split at every trained checkpoint, as rows for `curves`; unit `ppl` gives the perplexity."""
    rows: Rows = []
    for c in findings.trained:
        measured = findings.measured(c.checkpoint.name, split, what)
        if has_value(measured):
            shown, unit_shown = (perplexity_of(measured), "perplexity") if unit == "ppl" else (measured, unit)
            rows.append(row(c.checkpoint.step, shown, unit_shown, line=line, checkpoint=c.checkpoint.name))
    return rows


def dots(
    rows: Rows,
    colours: Mapping[str, str],
    title: str,
    *,
    no_effect: float | None = 0.0,
    form: str,
    height: int = 34,
    is_loss: bool = False,
) -> dict[str, Any]:
    """Values with their intervals about the line of no effect: one row per `name`, with one dot for each `line`.

    Args:
        rows: rows as of `charts.row`, with `name` and `line`.
        colours: of the lines.
        title: of the axis.
        no_effect: the value of no effect; None where there is none, and the axis shows the intervals only.
        form: Vega expression of the axis's labels.
        height: of a row in pixels.
        is_loss: whether a positive value is a loss; then it is drawn left of the line.
    """
    names = list(dict.fromkeys(r["name"] for r in rows))
    estimates = [Estimate(r["value"], r["low"], r["high"]) for r in rows]
    low, high = domain_of(estimates if no_effect is None else [*estimates, Estimate(no_effect)])
    scale = dict(domain=[low, high], nice=False, zero=False, reverse=is_loss)
    x = channel("value:Q", title=title, scale=scale, axis=dict(labelExpr=form, tickCount=7))
    axis = dict(grid=False, labelLimit=230, labelColor="var(--ink)")
    y = channel("name:N", sort=names, title=None, axis=axis, scale=dict(paddingInner=0.35, paddingOuter=0.2))
    offset = channel("line:N", sort=list(colours), scale=dict(paddingOuter=0.3))
    colour = _colour(colours)
    tooltip = [channel(f"{f}:N") for f in ("name", "line", "text", "n")]
    base = Chart(data(rows)).encode(y=y, yOffset=offset, color=colour, tooltip=tooltip)
    bars = base.mark_rule(strokeWidth=2, opacity=0.6).encode(x=channel("low:Q", title=title, scale=scale), x2="high:Q")
    _, shape = dash_and_shape("line", list(colours))
    points = base.mark_point(filled=True, size=70, opacity=1).encode(x=x, shape=shape)
    layers = [bars, points]
    if no_effect is not None:
        zero = Chart(data([{"value": no_effect}])).mark_rule(color="var(--ink)", opacity=0.5, strokeDash=[2, 3])
        layers.insert(0, zero.encode(x=x))
    return specification(layers, height * len(names) + 16)


def dash_and_shape(field: str, names: Sequence[str]) -> tuple[Spec, Spec]:
    """How lines and points of these names are drawn, besides their colour."""
    groups = [i // ALIKE % len(DASHES) for i in range(len(names))]
    dash = channel(f"{field}:N", scale=dict(domain=list(names), range=[DASHES[i] for i in groups]))
    return dash, channel(f"{field}:N", scale=dict(domain=list(names), range=[SHAPES[i] for i in groups]))


def beyond_frame(base: Estimate, domain: Domain, unit: str, x: Spec, height: int) -> list[Layer]:
    """The base model's value with an arrow, at the edge of a frame that it lies outside of.

    Args:
        base: its value.
        domain: the vertical range.
        unit: of the value.
        x: the horizontal channel.
        height: of the panel in pixels.
    """
    if base.value is None or domain[0] <= base.value <= domain[1]:
        return []
    is_below = base.value < domain[0]
    text = f"{'↓' if is_below else '↑'} {value_text(base, unit)}"
    mark = Chart(data([{"step": 0, "text": text}])).mark_text(
        align="left", dx=-7, y=height - 9 if is_below else 9, fontWeight=600, fontSize=12.5, color="var(--ink)"
    )
    return [mark.encode(x=x, text="text:N")]


def _colour(colours: Mapping[str, str]) -> Spec:
    return channel("line:N", scale=dict(domain=list(colours), range=list(colours.values())))
