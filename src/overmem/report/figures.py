"""Figures that several sections draw: lines along the run, and values with intervals about a line of nothing."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt

from overmem.records import Estimate
from overmem.report.charts import Rows, background, data, domain_of, row, specification, step_axis, value_axis
from overmem.report.findings import Findings, has_value
from overmem.report.numbers import perplexity_of

LINES = tuple(f"var(--series-{i})" for i in range(1, 9))
TWO = ("var(--ship)", "var(--onset)")
"""Of the recommended checkpoint and of the late one beside it."""


def coloured(names: Iterable[str]) -> dict[str, str]:
    """A colour for each line; a ninth begins again with the first, and `curves` dashes it."""
    return {name: LINES[i % len(LINES)] for i, name in enumerate(names)}


def compared(findings: Findings) -> dict[str, str]:
    """The recommended checkpoint and the late one, each with its colour."""
    return dict(zip(findings.compared, TWO, strict=False))


@dataclass(frozen=True)
class Beside:
    """One number at each of the compared checkpoints: a row of a table."""

    words: str
    unit: str
    at: tuple[Estimate, ...]


def beside(
    findings: Findings, split: str, asked: Mapping[str, tuple[str, str, str]], **at: float | int | str
) -> list[Beside]:
    """The rows of a table, as words -> (probe, metric, unit); rows without any value are left out."""
    rows = [
        Beside(words, unit, tuple(findings.measured(name, split, (probe, metric), **at) for name in findings.compared))
        for words, (probe, metric, unit) in asked.items()
    ]
    return [r for r in rows if any(has_value(e) for e in r.at)]


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
    """Lines along the run with their 95% intervals; each row says under `line` which one it is of.

    The base model may lie so far off that it would flatten the rest, so the frame is that of what was trained.
    """
    x = step_axis(findings)
    started = [r for r in rows if r["step"] > 0] or rows
    domain = domain_of((Estimate(r["value"], r["low"], r["high"]) for r in started), low=low, high=high)
    y = value_axis("value", "", domain, form)
    colour = _colour(colours)
    dashes = [[1, 0] if i < len(LINES) else [5, 3] for i in range(len(colours))]
    dash = alt.StrokeDash("line:N", scale=alt.Scale(domain=list(colours), range=dashes), legend=None)
    told = [alt.Tooltip(f"{f}:N") for f in ("checkpoint", "line", "text", "n")]
    known = [r for r in rows if r["low"] is not None and r["high"] is not None]
    ends = alt.Y("low:Q", title="")
    bars = alt.Chart(data(known)).mark_rule(opacity=0.5, clip=True).encode(x=x, y=ends, y2="high:Q", color=colour)
    line = alt.Chart(data(rows)).mark_line(strokeWidth=1.5, clip=True).encode(x=x, y=y, color=colour, strokeDash=dash)
    points = alt.Chart(data(rows)).mark_point(filled=True, size=36, opacity=1, clip=True)
    points = points.encode(x=x, y=y, color=colour, tooltip=told)
    return specification([background(findings, x, strength=0.6), bars, line, points], height)


def course(findings: Findings, line: str, split: str, what: tuple[str, str], unit: str) -> Rows:
    """One metric of one split at every trained checkpoint, as rows of `curves`; in the perplexity of an nll for ppl."""
    rows: Rows = []
    for c in findings.trained:
        found = findings.measured(c.checkpoint.name, split, what)
        if has_value(found):
            shown, unit_shown = (perplexity_of(found), "perplexity") if unit == "ppl" else (found, unit)
            rows.append(row(c.checkpoint.step, shown, unit_shown, line=line, checkpoint=c.checkpoint.name))
    return rows


def dots(
    rows: Rows, colours: Mapping[str, str], title: str, *, nothing: float = 0.0, form: str, each: int = 34
) -> dict[str, Any]:
    """Values with their intervals about the line of `nothing`: one row a `name`, one dot in it for each `line`.

    Args:
        rows: rows as of `charts.row`, with `name` and `line`.
        colours: of the lines.
        title: of the axis.
        nothing: where there is no effect.
        form: Vega expression of the axis's labels.
        each: height of a row in pixels.
    """
    names = list(dict.fromkeys(r["name"] for r in rows))
    estimates = [Estimate(r["value"], r["low"], r["high"]) for r in rows]
    low, high = domain_of([*estimates, Estimate(nothing)])
    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    x = alt.X("value:Q", title=title, scale=scale, axis=alt.Axis(labelExpr=form, tickCount=7))
    axis = alt.Axis(grid=False, labelLimit=230, labelColor="var(--ink)")
    y = alt.Y("name:N", sort=names, title=None, axis=axis, scale=alt.Scale(paddingInner=0.35, paddingOuter=0.2))
    offset = alt.YOffset("line:N", sort=list(colours), scale=alt.Scale(paddingOuter=0.3))
    colour = _colour(colours)
    told = [alt.Tooltip(f"{f}:N") for f in ("name", "line", "text", "n")]
    base = alt.Chart(data(rows)).encode(y=y, yOffset=offset, color=colour, tooltip=told)
    zero = alt.Chart(data([{"value": nothing}])).mark_rule(color="var(--ink)", opacity=0.5, strokeDash=[2, 3])
    bars = base.mark_rule(strokeWidth=2, opacity=0.6).encode(x=alt.X("low:Q", title=title, scale=scale), x2="high:Q")
    points = base.mark_point(filled=True, size=70, opacity=1).encode(x=x)
    return specification([zero.encode(x=x), bars, points], each * len(names) + 16)


def _colour(colours: Mapping[str, str]) -> alt.Color:
    return alt.Color("line:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None)
