"""What sampling many solutions is worth, and whether they are other ways of solving or the same one told anew."""

from typing import Any

import altair as alt

from overmem.report.charts import LEFT, Rows, data, row, specification
from overmem.report.figures import beside, coloured, compared, course, curves
from overmem.report.findings import Findings, has_value
from overmem.report.markup import Section, render

WORTH = {
    "pass": "at least one right (pass@k)",
    "maj": "the commonest answer (maj@k)",
    "best": "the likeliest (best-of-k)",
}
DASHES = {"pass": [1, 0], "maj": [6, 3], "best": [2, 3]}
VARIETY = {
    "chain_difference": "two right draws calculate differently",
    "reworded": "in other words, the same calculation",
    "distinct_2": "different pairs of words, of all",
}
TABLE = {
    "one draw right (pass@1)": ("pass@1", "percent"),
    "distinct-1": ("distinct_1", "percent"),
    "distinct-2": ("distinct_2", "percent"),
    "distinct words over those expected (EAD)": ("ead", "number"),
    "likeness among draws (self-BLEU)": ("self_bleu", "number"),
    "effective number of texts (Vendi)": ("vendi", "number"),
    "different answers": ("distinct_answers", "number"),
    "answer entropy, nats": ("answer_entropy", "nll"),
    "different calculations among right draws": ("correct_chains", "number"),
    "two right draws calculate differently": ("chain_difference", "percent"),
    "right draws in other words calculate the same": ("reworded", "percent"),
}


def diversity(findings: Findings) -> Section:
    """Accuracy against the number of draws, the variety of right draws along the run, and every index in a table."""
    split = "test" if "test" in findings.splits else findings.chosen_on
    colours, most = compared(findings), _most(findings, split)
    charts: dict[str, Any] = {}
    if most > 1:
        charts["draws"] = against_draws(findings, split, colours, most)
        if len(temperatures := _temperatures(findings, split, most)) > 1:
            charts["temperatures"] = against_temperature(findings, split, colours, temperatures)
    lines = coloured(VARIETY.values())
    rows = [
        r for metric, words in VARIETY.items() for r in course(findings, words, split, ("diversity", metric), "percent")
    ]
    if rows:
        charts["variety"] = curves(findings, rows, lines, ".0%", low=-0.03, high=1.03, height=230)
    asked = {words: ("diversity", metric, unit) for words, (metric, unit) in TABLE.items()}
    more = {f"{words.replace('k)', f'{most})')}": ("diversity", f"{key}@{most}", "percent")
            for key, words in WORTH.items()}  # fmt: skip
    table = beside(findings, split, more | asked if most > 1 else asked)
    note = next((e.note for r in table for e in r.at if "temperature" in e.note), "")
    body = render(
        "diversity.html.j2", charts=charts, table=table, colours=colours, lines=lines, dashes=WORTH, split=split,
        names=findings.compared, most=most, temperature=note.rpartition("temperature ")[2],
    )  # fmt: skip
    lead = "Draws of one question: how often they are right, and whether they are other ways of solving it."
    return Section("Diversity and best of several draws", body, charts, lead if table else "")


def _most(findings: Findings, split: str) -> int:
    """The largest k at which the compared checkpoints have a pass@k."""
    ks = [
        int(m.metric.partition("@")[2])
        for m in findings.measurements
        if m.split == split and m.probe == "diversity" and m.metric.startswith("pass@") and m.value is not None
        and m.metric.partition("@")[2].isdigit() and m.checkpoint in findings.compared
    ]  # fmt: skip
    return max(ks, default=0)


def _temperatures(findings: Findings, split: str, most: int) -> dict[str, float]:
    """Ending of a metric's name -> the temperature that it is of, where all draws were taken."""
    found = {}
    for m in findings.measurements:
        start, _, temperature = m.metric.partition("/t=")
        if (m.split, m.probe, start) == (split, "diversity", f"pass@{most}") and m.value is not None:
            where = temperature or m.note.rpartition("temperature ")[2]
            found[m.metric.removeprefix("pass")] = float(where)
    return found


def against_temperature(
    findings: Findings, split: str, colours: dict[str, str], temperatures: dict[str, float]
) -> dict[str, Any]:
    """Pass@k, maj@k and best-of-k against the temperature of the draws at both checkpoints."""
    rows: Rows = []
    for name in colours:
        for kind in WORTH:
            for ending, temperature in temperatures.items():
                found = findings.measured(name, split, ("diversity", kind + ending))
                if has_value(found):
                    rows.append(row(0, found, "percent", temperature=temperature, checkpoint=name, kind=kind))
    x = alt.X("temperature:Q", title="temperature", scale=alt.Scale(zero=False, padding=12),
              axis=alt.Axis(grid=False, values=sorted({r["temperature"] for r in rows}), format="~g"))  # fmt: skip
    return _worths(rows, colours, x, "temperature")


def against_draws(findings: Findings, split: str, colours: dict[str, str], most: int) -> dict[str, Any]:
    """Pass@k, maj@k and best-of-k against k at both checkpoints."""
    rows: Rows = []
    for name in colours:
        for kind in WORTH:
            for k in sorted({most, *(2**i for i in range(12) if 2**i <= most)}):
                found = findings.measured(name, split, ("diversity", f"{kind}@{k}" if k > 1 else "pass@1"))
                if has_value(found):
                    rows.append(row(0, found, "percent", k=k, checkpoint=name, kind=kind))
    x = alt.X("k:Q", title="draws, k", scale=alt.Scale(type="log", base=2),
              axis=alt.Axis(grid=False, values=sorted({r["k"] for r in rows}), format="d"))  # fmt: skip
    return _worths(rows, colours, x, "k")


def _worths(rows: Rows, colours: dict[str, str], x: alt.X, along: str) -> dict[str, Any]:
    """A line for each checkpoint and worth of its draws, bars for pass@k."""
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False, nice=True),
              axis=alt.Axis(format=".0%", tickCount=5, minExtent=LEFT, maxExtent=LEFT))  # fmt: skip
    colour = alt.Color("checkpoint:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None)
    dash = alt.StrokeDash("kind:N", scale=alt.Scale(domain=list(DASHES), range=list(DASHES.values())), legend=None)
    told = [alt.Tooltip(f"{f}:N") for f in ("checkpoint", "kind", along, "text", "n")]
    base = alt.Chart(data(rows)).encode(x=x, color=colour)
    passes = alt.Chart(data([r for r in rows if r["kind"] == "pass"])).encode(x=x, color=colour)
    bars = passes.mark_rule(opacity=0.4).encode(y=alt.Y("low:Q", title=""), y2="high:Q")
    line = base.mark_line(strokeWidth=1.5).encode(y=y, strokeDash=dash)
    points = base.mark_point(filled=True, size=40, opacity=1).encode(y=y, tooltip=told)
    return specification([bars, line, points], 230)
