"""The charts of a sweep's page as Vega-Lite: regimes over the conditions, curves of every run, and effects."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle, islice, pairwise

import polars as pl

from overmem.records import REGIMES, Estimate
from overmem.report.charts import Rows, data, specification
from overmem.report.figures import LINES, dash_and_shape, dots
from overmem.report.numbers import estimate_text
from overmem.report.vega import Chart, Spec, channel
from overmem.sweep.effects import Effect, Level
from overmem.sweep.table import FACTOR


def factors_of(table: pl.DataFrame) -> list[str]:
    """The factors with several levels, the one with the most numeric levels first: it is the y axis of the diagrams."""
    names = [c.removeprefix(FACTOR) for c in table.columns if c.startswith(FACTOR) and table[c].n_unique() > 1]

    def numeric_levels(name: str) -> int:
        return int(table[FACTOR + name].unique().str.extract(r"^(-?[\d.]+(?:e-?\d+)?)$").is_not_null().sum())

    return sorted(names, key=lambda name: -numeric_levels(name))


def trajectory(table: pl.DataFrame) -> pl.DataFrame:
    """One row per run and trained checkpoint, in the table's order: its time, regime, val nll and val accuracy."""
    rows = table.filter((pl.col("split") == "val") & (pl.col("step") > 0) & (pl.col("regime") != ""))
    keys = ["run", "seed", *(c for c in table.columns if c.startswith(FACTOR)), "checkpoint", "step", "epoch", "regime"]
    nll = rows.filter((pl.col("probe") == "perplexity") & (pl.col("metric") == "nll"))
    accuracy = rows.filter((pl.col("probe") == "accuracy") & (pl.col("metric") == "accuracy"))
    measured = accuracy.select("run", "checkpoint", accuracy="value", accuracy_low="low", accuracy_high="high")
    return nll.select(*keys, nll="value", nll_low="low", nll_high="high").join(
        measured, on=["run", "checkpoint"], how="left", maintain_order="left"
    )


def phase_diagrams(table: pl.DataFrame) -> dict[str, Spec]:
    """Panel -> diagram of the regime over epoch and the levels of the first factor.

    There is one panel per combination of the other factors. A cell has the regime of most seeds and is paler if seeds
    differ.
    """
    points, names = trajectory(table), factors_of(table)
    if not names or points["epoch"].null_count():
        return {}
    height, others = FACTOR + names[0], [FACTOR + name for name in names[1:]]
    panels: dict[str, Rows] = {}
    for key, cell in points.group_by([height, *others], maintain_order=True):
        title = ", ".join(f"{name} {level}" for name, level in zip(names[1:], key[1:], strict=True)) or "all runs"
        panels.setdefault(title, []).extend(_cells(cell, str(key[0])))
    order = list(dict.fromkeys(points[height]))
    end = max(row["end"] for rows in panels.values() for row in rows)
    return {title: _diagram(rows, names[0], order, end) for title, rows in panels.items()}


def _cells(cell: pl.DataFrame, level: str) -> Rows:
    """The checkpoints of one condition, each reaching halfway to its neighbours, with the regime of most seeds."""
    by_epoch = {epoch: list(rows["regime"]) for (epoch,), rows in cell.group_by("epoch", maintain_order=True)}
    times = sorted(by_epoch)
    first = times[0] - (times[1] - times[0]) / 2 if len(times) > 1 else 0.0
    edges = (
        [max(0.0, first), *((a + b) / 2 for a, b in pairwise(times)), times[-1] + (times[-1] - times[-2]) / 2]
        if len(times) > 1
        else [0.0, times[0]]
    )
    rows: Rows = []
    for i, time in enumerate(times):
        (regime, count), total = Counter(by_epoch[time]).most_common(1)[0], len(by_epoch[time])
        text = f"{regime} in {count} of {total} seeds"
        rows.append(
            {"level": level, "epoch": edges[i], "end": edges[i + 1], "regime": regime, "agree": count / total}
            | {"at": f"{time:.3g}", "text": text}
        )
    return rows


def _diagram(rows: Rows, factor: str, order: Sequence[str], end: float) -> Spec:
    x = channel("epoch:Q", title="epoch", scale=dict(domain=[0, end], nice=False), axis=dict(grid=False))
    y = channel("level:N", title=factor, sort=list(order)[::-1], axis=dict(grid=False, minExtent=54))
    colours = dict(domain=list(REGIMES), range=[f"var(--{key})" for key in REGIMES])
    fill = channel("regime:N", scale=colours, legend=None)
    strength = channel("agree:Q", scale=dict(domain=[0, 1], range=[0.15, 1]), legend=None)
    tooltip = [channel("level:N", title=factor), channel("at:N", title="epoch"), channel("text:N", title="regime")]
    cells = Chart(data(rows)).mark_rect(stroke="var(--paper)", strokeWidth=1)
    drawn = cells.encode(x=x, x2="end:Q", y=y, fill=fill, opacity=strength, tooltip=tooltip)
    return specification([drawn], 40 * len(order) + 40)


def run_curves(table: pl.DataFrame) -> dict[str, tuple[Spec, Spec]]:
    """Condition -> val nll and val accuracy over epochs, one line per seed, on axes shared by all conditions."""
    points, names = trajectory(table), [FACTOR + name for name in factors_of(table)]
    if points["epoch"].null_count():
        return {}
    seeds = [str(seed) for seed in dict.fromkeys(points["seed"])]
    highest = float(points["nll_high"].fill_null(points["nll"]).to_numpy().max())
    groups = points.group_by(names, maintain_order=True) if names else [((), points)]
    charts = {}
    for key, rows in groups:
        title = ", ".join(f"{name.removeprefix(FACTOR)} {level}" for name, level in zip(names, key, strict=True))
        charts[title or "all runs"] = (
            _lines(rows, "nll", seeds, (0.0, highest), points),
            _lines(rows, "accuracy", seeds, (0.0, 1.0), points),
        )
    return charts


def _lines(
    rows: pl.DataFrame, metric: str, seeds: Sequence[str], domain: tuple[float, float], all_rows: pl.DataFrame
) -> Spec:
    unit = "percent" if metric == "accuracy" else "nll"
    chart_rows: Rows = []
    for r in rows.iter_rows(named=True):
        estimate = Estimate(r[metric], r[f"{metric}_low"], r[f"{metric}_high"])
        text = f"{estimate_text(estimate, unit)}, {r['regime']}"
        chart_rows.append(
            {"epoch": r["epoch"], "value": r[metric], "seed": str(r["seed"]), "regime": r["regime"], "text": text}
        )
    end = float(all_rows["epoch"].to_numpy().max())
    x = channel("epoch:Q", title="epoch", scale=dict(domain=[0, end], nice=False), axis=dict(grid=False, tickCount=5))
    form = "%" if metric == "accuracy" else ".2f"
    y = channel(
        "value:Q",
        title=None,
        scale=dict(domain=list(domain)),
        axis=dict(format=form, tickCount=4, minExtent=44),
    )
    colours = list(islice(cycle(LINES), len(seeds)))
    colour = channel("seed:N", scale=dict(domain=list(seeds), range=colours), legend=None)
    dash, _ = dash_and_shape("seed", list(seeds))
    regimes = dict(domain=list(REGIMES), range=[f"var(--{key})" for key in REGIMES])
    tooltip = [channel("seed:N"), channel("epoch:Q", format=".3"), channel("text:N", title=metric)]
    line = (
        Chart(data(chart_rows))
        .mark_line(strokeWidth=1.5)
        .encode(x=x, y=y, color=colour, strokeDash={**dash, "legend": None})
    )
    points = Chart(data(chart_rows)).mark_point(filled=True, size=50, opacity=1, stroke="var(--quiet)", strokeWidth=0.7)
    marks = points.encode(x=x, y=y, fill=channel("regime:N", scale=regimes, legend=None), tooltip=tooltip)
    return specification([line, marks], 130)


def forest(effects: Sequence[Effect], colours: Mapping[str, str]) -> Spec:
    """Effects of one factor in one unit: one row per outcome, one dot per level, and the line of no effect."""
    is_share = effects[0].is_share
    rows: Rows = [
        {
            "name": e.outcome,
            "line": e.level,
            "value": e.difference.value,
            "low": e.difference.low,
            "high": e.difference.high,
            "n": f"{e.difference.n} seeds",
            "text": estimate_text(e.difference, "points" if is_share else "difference"),
        }
        for e in effects
    ]
    form = "format(100 * datum.value, '+.3~f')" if is_share else "format(datum.value, '+.3~f')"
    title = "difference in points" if is_share else "difference"
    return dots(rows, colours, title, form=form, height=14 + 12 * len(colours))


def level_dots(levels: Sequence[Level]) -> Spec:
    """One outcome at each level of one factor, with intervals over seeds."""
    is_share = levels[0].is_share
    unit = "percent" if is_share else "number"
    rows: Rows = [
        {
            "name": level.level,
            "line": "level",
            "value": level.estimate.value,
            "low": level.estimate.low,
            "high": level.estimate.high,
            "n": level.estimate.n,
            "text": f"{estimate_text(level.estimate, unit)}; in {level.runs} of {level.of} runs",
        }
        for level in levels
    ]
    form = "format(datum.value, '.3~%')" if is_share else "format(datum.value, '.3~f')"
    return dots(rows, {"level": "var(--onset)"}, levels[0].outcome, no_effect=None, form=form, height=30)


def by_unit(effects: Sequence[Effect]) -> dict[tuple[str, str], list[Effect]]:
    """(factor, unit) -> its effects. Shares have one axis, nll another; any other outcome has an axis of its own."""
    groups: dict[tuple[str, str], list[Effect]] = {}
    for effect in effects:
        is_nll = any(word == "nll" for word in effect.outcome.replace(",", " ").split())
        unit = "share" if effect.is_share else "nats per token" if is_nll else effect.outcome
        groups.setdefault((effect.factor, unit), []).append(effect)
    return groups
