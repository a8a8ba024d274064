"""How much likelier the training text is to the model than held-out text of the same distribution."""

from overmem.report.charts import Layer, Rows, data, domain_of, row, specification, step_axis, value_axis, whiskers
from overmem.report.charts import background as regimes
from overmem.report.figures import comparison_rows
from overmem.report.findings import NLL, Findings, has_value
from overmem.report.markup import Section, nothing, render_inline
from overmem.report.vega import Chart, channel

TABLE = {
    "tokens that greedy decoding predicts": ("memorization", "exact", "percent"),
    "… more than on val": ("memorization", "exact_gap", "points"),
    "share of a solution that needs no prefix (extraction strength)": (
        "memorization",
        "extraction_strength",
        "percent",
    ),
    "… more than on val ": ("memorization", "extraction_strength_gap", "points"),
    "solutions that need no prefix at all": ("memorization", "wholly_extractable", "percent"),
    "solutions that greedy decoding writes word for word": ("memorization", "verbatim", "percent"),
    "share of a solution that it writes word for word": ("memorization", "verbatim_prefix", "percent"),
    "… more than on val  ": ("memorization", "verbatim_prefix_gap", "points"),
}
COLOURS = {"train": "var(--train)", "val": "var(--ink)"}


TITLE = "Memorization"
TEMPLATE = """
{% from "parts.html.j2" import comparison %}
<figure>
<div class="legend"><span><i class="mark val"></i>validation</span>
<span><i class="mark train"></i>training examples</span></div>
<h3 class="axis">NLL, nats per token</h3>
{{ chart("nll", "NLL on training and on validation examples along the run, with 95% intervals.") }}
<figcaption>
{% for row in table %}
{{ "First" if loop.first else "Last" }}, <code>{{ row.checkpoint }}</code>:
training {{ estimate(row.train, "nll", with_n=True) }},
validation {{ estimate(row.val, "nll", with_n=True) }}.
{% endfor %}
</figcaption>
</figure>
{% if shares %}{{ comparison(shares, names, "of the training examples") }}{% endif %}
"""


def memorization(findings: Findings) -> Section:
    """NLL on train and val along the run; where they diverge, the run memorizes its examples."""
    lines = {
        split: [(c.checkpoint, findings.measured(c.checkpoint.name, split, NLL)) for c in findings.trained]
        for split in COLOURS
    }
    if not all(any(has_value(e) for _, e in pairs) for pairs in lines.values()):
        return nothing(TITLE, "NLL was not measured on both training and validation examples.")
    x = step_axis(findings)
    shown = [e for pairs in lines.values() for c, e in pairs if c.step > 0 or len(pairs) < 3]
    y = value_axis("value", "nll", domain_of(shown, low=0.0), ".3~r")
    layers: list[Layer] = [regimes(findings, x, strength=0.6)]
    for split, pairs in lines.items():
        rows: Rows = [row(c.step, e, "nll", checkpoint=c.name, split=split) for c, e in pairs if has_value(e)]
        tooltip = [channel(f"{f}:N") for f in ("checkpoint", "split", "text", "n")]
        points = Chart(data(rows)).mark_point(size=300, opacity=0, filled=True)
        layers += [*whiskers(rows, x, y, COLOURS[split]), points.encode(x=x, y=y, tooltip=tooltip)]
    charts = {"nll": specification(layers, 220)}
    first, last = ({split: pairs[i] for split, pairs in lines.items()} for i in (0, -1))
    table = [{"checkpoint": e["val"][0].name, "train": e["train"][1], "val": e["val"][1]} for e in (first, last)]
    shares = comparison_rows(findings, "train", TABLE)
    body = render_inline(TEMPLATE, table=table, shares=shares, names=findings.compared)
    lead = "Where the two curves diverge, the model memorizes the solutions that it is trained on."
    return Section(TITLE, body, charts, lead)
