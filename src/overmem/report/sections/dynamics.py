"""Loss, learning rate and gradient norm from the trainer's own log."""

import math
from collections.abc import Mapping
from typing import Any

from overmem.records import Estimate
from overmem.report.charts import Rows, background, data, domain_of, specification, step_axis, value_axis
from overmem.report.findings import Findings
from overmem.report.markup import Section, nothing, render_inline
from overmem.report.vega import Chart, channel

SERIES: Mapping[str, tuple[str, str]] = {
    "loss": ("Training loss", ".3~r"),
    "eval_loss": ("Loss on the trainer's own evaluation set", ".3~r"),
    "learning_rate": ("Learning rate", ".1~e"),
    "grad_norm": ("Gradient norm", ".3~r"),
}
TITLE = "Training log"
TEMPLATE = """
<div class="pair">
{% for key in charts %}
<figure><h3 class="axis">{{ titles[key] }}</h3>{{ chart(key, titles[key] + " along the run") }}</figure>
{% endfor %}
</div>
{% if thinned %}
<p class="quiet small">{{ thinned|join(", ") }}: {{ most }} evenly spaced entries of the log are drawn.</p>
{% endif %}
"""
MOST = 600
"""Points drawn of one series; of a longer log, evenly spaced ones are kept."""


def dynamics(findings: Findings) -> Section:
    """One small chart for each series in the log."""
    series = {key: points(findings.log, key) for key in SERIES}
    logged = {key: rows for key, rows in series.items() if len(rows) > 1}
    charts = {key: curve(findings, thinned(rows), SERIES[key][1]) for key, rows in logged.items()}
    if not charts:
        return nothing(TITLE, "The run directory holds no log of the trainer (trainer_state.json) with a loss in it.")
    body = render_inline(
        TEMPLATE,
        charts=charts,
        titles={key: title for key, (title, _) in SERIES.items()},
        thinned=[SERIES[key][0].lower() for key, rows in logged.items() if len(rows) > MOST],
        most=MOST,
    )
    return Section(TITLE, body, charts, "The trainer's own log. A loss is that of one batch, so it has no interval.")


def points(log: tuple[Mapping[str, Any], ...], key: str) -> Rows:
    """(step, value) of every log entry that has a finite number under `key`."""
    rows = []
    for entry in log:
        value, step = entry.get(key), entry.get("step")
        numbers = isinstance(value, int | float) and isinstance(step, int | float)
        if numbers and math.isfinite(value):  # type: ignore[arg-type]
            rows.append({"step": step, "value": value})
    return rows


def thinned(rows: Rows) -> Rows:
    """At most MOST rows, evenly spaced, first and last kept."""
    if len(rows) <= MOST:
        return rows
    return [rows[round(i * (len(rows) - 1) / (MOST - 1))] for i in range(MOST)]


def curve(findings: Findings, rows: Rows, form: str) -> dict[str, Any]:
    """One series over the steps, the regimes behind it."""
    x, y = step_axis(findings), value_axis("value", "", domain_of([Estimate(r["value"]) for r in rows], low=0.0), form)
    tooltip = [channel("step:Q", format=","), channel("value:Q", format=".4~r")]
    line = Chart(data(rows)).mark_line(color="var(--ink)", strokeWidth=1.5, clip=True).encode(x=x, y=y)
    aim = Chart(data(rows)).mark_point(size=120, opacity=0, filled=True, clip=True).encode(x=x, y=y, tooltip=tooltip)
    return specification([background(findings, x, strength=0.6), line, aim], 130)
