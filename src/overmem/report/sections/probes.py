"""Every other number that was measured: one chart per metric, one line per split, chosen from a list.

A probe that has no section of its own is shown here as soon as it is measured.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from overmem.probes import PROBES
from overmem.records import Measurement
from overmem.report.charts import Rows, row
from overmem.report.figures import ALIKE, DASHES, coloured, curves
from overmem.report.findings import Findings, estimate_of_row, has_value
from overmem.report.markup import Section, nothing, render_inline
from overmem.tables import first_line

ELSEWHERE = {("perplexity", "nll"), ("accuracy", "accuracy")}
"""(probe, metric) that other sections draw on train, val and test."""
AT_ONE_CHECKPOINT = ("bin", "rank", "example")
"""Keys in the `at` of a row that belongs to a curve or a ranking at one checkpoint, not to a line along the run."""

TITLE = "All charts"
TEMPLATE = """
<p class="chooser"><label for="chart-chooser">Metric</label>
<select id="chart-chooser" autocomplete="off">
{% for group in groups if group.figures %}
<optgroup label="{{ group.probe }}">
{% for figure in group.figures %}
<option value="{{ figure.key }}">{{ group.probe }}: {{ figure.name }}</option>
{% endfor %}
</optgroup>
{% endfor %}
</select></p>
{% for group in groups %}
{% for figure in group.figures %}
<figure data-choice="{{ figure.key }}"{{ "" if figure.key == "0" else " hidden" }}>
<h3 class="axis">{{ figure.name }}
{% if figure.n|length == 1 and figure.n[0] %}
<span class="interval">n = {{ "{:,}".format(figure.n[0]) }}</span>
{% endif %}
</h3>
<div class="legend small">
{% for split in figure.splits %}
<span><i class="mark line dash-{{ dashes[split] }}" style="--c: {{ colours[split] }}"></i>{{ split }}</span>
{% endfor %}
</div>
{{ chart(figure.key, figure.name + " along the run, by split") }}
{% if group.about %}<figcaption>{{ group.about }}</figcaption>{% endif %}
</figure>
{% endfor %}
{% endfor %}
{% if reasons %}
<details>
<summary>Metrics without a value</summary>
{% for reason in reasons %}<p class="none small">{{ reason.metric }}: {{ reason.note }}</p>
{% endfor %}
</details>
{% endif %}
"""


def probes(findings: Findings) -> Section:
    """One chart at a time, grouped by probe in the list."""
    trained = {c.checkpoint.name for c in findings.trained}
    rows = [m for m in findings.measurements if m.checkpoint in trained and not _drawn_elsewhere(m)]
    colours = coloured(dict.fromkeys(m.split for m in rows))
    charts: dict[str, Any] = {}
    groups, reasons = [], []
    for probe in dict.fromkeys(m.probe for m in rows):
        figures = []
        for metric, measured in _series(m for m in rows if m.probe == probe).items():
            name = metric.replace("_", " ")
            with_value = [m for m in measured if has_value(estimate_of_row(m))]
            if not with_value:
                reasons.append({"metric": name, "note": next((m.note for m in measured if m.note), "not measured")})
                continue
            key = f"{len(charts)}"
            charts[key] = small_multiple(findings, with_value, colours)
            figures.append(
                {"key": key, "name": name, "n": sorted({m.n for m in with_value}), "splits": _splits(with_value)}
            )
        about = first_line(PROBES[probe].measure) if probe in PROBES else ""
        groups.append({"probe": probe, "about": about, "figures": figures})
    if not charts:
        why = "".join(f" {reason['metric']}: {reason['note']}." for reason in reasons)
        return nothing(TITLE, f"Nothing beyond the accuracy and perplexity above was measured.{why}")
    dashes = {split: i // ALIKE % len(DASHES) for i, split in enumerate(colours)}
    body = render_inline(TEMPLATE, groups=groups, reasons=reasons, colours=colours, dashes=dashes)
    return Section(
        TITLE, body, charts, "Every metric along the run with its 95% interval; hover over a mark to read it."
    )


def _drawn_elsewhere(m: Measurement) -> bool:
    if (m.probe, m.metric) in ELSEWHERE and m.split in ("train", "val", "test"):
        return True
    return any(key in m.at for key in AT_ONE_CHECKPOINT)


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


def small_multiple(findings: Findings, measured: list[Measurement], colours: Mapping[str, str]) -> dict[str, Any]:
    """One metric along the run, one line per split, with intervals."""
    rows: Rows = [row(m.step, estimate_of_row(m), "number", line=m.split, checkpoint=m.checkpoint) for m in measured]
    return curves(findings, rows, colours, ".3~r", height=300)
