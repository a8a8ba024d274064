"""How much better the training text is known than held-out text of the same distribution."""

import altair as alt

from overmem.report.charts import Layer, Rows, data, domain_of, row, specification, step_axis, value_axis, whiskers
from overmem.report.charts import background as regimes
from overmem.report.figures import beside
from overmem.report.findings import NLL, Findings, has_value
from overmem.report.markup import Section, render

TABLE = {
    "tokens whose label greedy decoding gives": ("memorization", "exact", "percent"),
    "… more than on val": ("memorization", "exact_gap", "points"),
    "of a solution, what needs no prefix (extraction strength)": ("memorization", "extraction_strength", "percent"),
    "… more than on val ": ("memorization", "extraction_strength_gap", "points"),
    "solutions that need no prefix at all": ("memorization", "wholly_extractable", "percent"),
    "solutions that greedy decoding writes word for word": ("memorization", "verbatim", "percent"),
    "of a solution, what it writes word for word": ("memorization", "verbatim_prefix", "percent"),
    "… more than on val  ": ("memorization", "verbatim_prefix_gap", "points"),
}
COLOURS = {"train": "var(--train)", "val": "var(--ink)"}


def memorization(findings: Findings) -> Section:
    """Nll on train and val along the run; where they part, the run learns its examples by heart."""
    lines = {
        split: [(c.checkpoint, findings.measured(c.checkpoint.name, split, NLL)) for c in findings.trained]
        for split in COLOURS
    }
    lines = {split: pairs for split, pairs in lines.items() if any(has_value(e) for _, e in pairs)}
    both = len(lines) == len(COLOURS)
    charts = {}
    table = []
    if both:
        x = step_axis(findings)
        shown = [e for pairs in lines.values() for c, e in pairs if c.step > 0 or len(pairs) < 3]
        y = value_axis("value", "nll", domain_of(shown, low=0.0), ".3~r")
        layers: list[Layer] = [regimes(findings, x, strength=0.6)]
        for split, pairs in lines.items():
            rows: Rows = [row(c.step, e, "nll", checkpoint=c.name, split=split) for c, e in pairs if has_value(e)]
            told = [alt.Tooltip(f"{f}:N") for f in ("checkpoint", "split", "text", "n")]
            points = alt.Chart(data(rows)).mark_point(size=300, opacity=0, filled=True)
            layers += [*whiskers(rows, x, y, COLOURS[split]), points.encode(x=x, y=y, tooltip=told)]
        charts["nll"] = specification(layers, 220)
        first, last = ({s: pairs[i] for s, pairs in lines.items()} for i in (0, -1))
        table = [
            {"checkpoint": at["val"][0].name, "train": at["train"][1], "val": at["val"][1]} for at in (first, last)
        ]
    known = beside(findings, "train", TABLE)
    body = render("memorization.html.j2", charts=charts, table=table, known=known, names=findings.compared)
    lead = "Where the curves part, the solutions that were trained on are learnt by heart."
    return Section("Training text against held-out text", body, charts, lead)
