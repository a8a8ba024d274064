"""What is gained by sampling several completions, and whether they solve a question in different ways."""

from collections.abc import Sequence
from typing import Any

from overmem.records import Measurement
from overmem.report.charts import LEFT, Rows, data, row, specification
from overmem.report.figures import coloured, compared, comparison_rows, course, curves
from overmem.report.findings import Findings, has_value
from overmem.report.markup import Section, nothing, render
from overmem.report.vega import Chart, Spec, channel

OF_SEVERAL = {
    "pass": "at least one is correct (pass@k)",
    "maj": "the most common answer (maj@k)",
    "best": "the most likely one (best-of-k)",
}
DASHES = {"pass": [1, 0], "maj": [6, 3], "best": [2, 3]}
TITLE = "Diversity"
VARIETY = {
    "chain_difference": "two correct completions calculate differently",
    "reworded": "different wording, same calculation",
    "distinct_2": "distinct word pairs",
}
TABLE = {
    "distinct-1": ("distinct_1", "percent"),
    "distinct-2": ("distinct_2", "percent"),
    "distinct words over those expected (EAD)": ("ead", "number"),
    "similarity of the completions (self-BLEU)": ("self_bleu", "number"),
    "effective number of different texts (Vendi)": ("vendi", "number"),
    "different answers": ("distinct_answers", "number"),
    "answer entropy, nats": ("answer_entropy", "nll"),
    "different calculations among correct completions": ("correct_chains", "number"),
    "two correct completions calculate differently": ("chain_difference", "percent"),
    "correct completions in different words that calculate the same": ("reworded", "percent"),
}


def diversity(findings: Findings) -> Section:
    """Accuracy against the number of completions, their variety along the run, and every index in a table."""
    split = "test" if "test" in findings.splits else findings.chosen_on
    colours, most = compared(findings), _most(findings, split)
    charts: dict[str, Any] = {}
    if most > 1:
        charts["draws"] = against_draws(findings, split, colours, most)
        if len(temperatures := _temperatures(findings, split, most)) > 1:
            charts["temperatures"] = against_temperature(findings, split, colours, temperatures, most)
    lines = coloured(VARIETY.values())
    rows = [
        r for metric, words in VARIETY.items() for r in course(findings, words, split, ("diversity", metric), "percent")
    ]
    if rows:
        charts["variety"] = curves(findings, rows, lines, ".0%", low=-0.03, high=1.03, height=230)
    table = comparison_rows(
        findings, split, {"one completion is correct (pass@1)": ("diversity", "pass@k", "percent")}, k=1
    )
    if most > 1:
        of_most = {
            words.replace("k)", f"{most})"): ("diversity", f"{key}@k", "percent") for key, words in OF_SEVERAL.items()
        }
        table = comparison_rows(findings, split, of_most, k=most) + table
    table += comparison_rows(findings, split, {words: ("diversity", *of) for words, of in TABLE.items()})
    if not table:
        return nothing(TITLE, "Only greedy completions were sampled. Audit with several samples, such as --draws 8.")
    temperatures = _temperatures(findings, split)
    body = render(
        "diversity.html.j2", charts=charts, table=table, colours=colours, lines=lines, dashes=OF_SEVERAL, split=split,
        names=findings.compared, most=most, temperature=f"{temperatures[0]:g}" if temperatures else "",
    )  # fmt: skip
    lead = "Several sampled completions per question: how often they are correct, and how much they differ."
    return Section(TITLE, body, charts, lead)


def _most(findings: Findings, split: str) -> int:
    """The largest k at which the compared checkpoints have a pass@k."""
    return max((int(m.at["k"]) for m in _passes(findings, split) if m.checkpoint in findings.compared), default=0)


def _passes(findings: Findings, split: str) -> list[Measurement]:
    """The rows of pass@k that have a value."""
    rows = (findings.by_key.get((c.checkpoint.name, split, "diversity", "pass@k"), ()) for c in findings.trained)
    return [m for same in rows for m in same if m.value is not None]


def _temperatures(findings: Findings, split: str, most: int = 1) -> list[float]:
    """The temperatures at which `most` completions of a question were sampled, the most sampled one first."""
    return list(dict.fromkeys(float(m.at["temperature"]) for m in _passes(findings, split) if m.at["k"] == most))


def against_temperature(
    findings: Findings, split: str, colours: dict[str, str], temperatures: Sequence[float], most: int
) -> dict[str, Any]:
    """Pass@k, maj@k and best-of-k against the sampling temperature at both checkpoints."""
    rows: Rows = []
    for name in colours:
        for kind in OF_SEVERAL:
            for temperature in temperatures:
                measured = findings.measured(name, split, ("diversity", f"{kind}@k"), k=most, temperature=temperature)
                if has_value(measured):
                    rows.append(row(0, measured, "percent", temperature=temperature, checkpoint=name, kind=kind))
    x = channel("temperature:Q", title="temperature", scale=dict(zero=False, padding=12),
              axis=dict(grid=False, values=sorted({r["temperature"] for r in rows}), format="~g"))  # fmt: skip
    return _sampling_chart(rows, colours, x, "temperature")


def against_draws(findings: Findings, split: str, colours: dict[str, str], most: int) -> dict[str, Any]:
    """Pass@k, maj@k and best-of-k against k at both checkpoints."""
    rows: Rows = []
    for name in colours:
        for kind in OF_SEVERAL:
            for k in sorted({most, *(2**i for i in range(12) if 2**i <= most)}):
                measured = findings.measured(name, split, ("diversity", f"{kind if k > 1 else 'pass'}@k"), k=k)
                if has_value(measured):
                    rows.append(row(0, measured, "percent", k=k, checkpoint=name, kind=kind))
    x = channel("k:Q", title="completions sampled, k", scale=dict(type="log", base=2),
              axis=dict(grid=False, values=sorted({r["k"] for r in rows}), format="d"))  # fmt: skip
    return _sampling_chart(rows, colours, x, "k")


def _sampling_chart(rows: Rows, colours: dict[str, str], x: Spec, along: str) -> dict[str, Any]:
    """A line for each checkpoint and each of pass@k, maj@k and best-of-k; bars for pass@k."""
    y = channel("value:Q", title=None, scale=dict(zero=False, nice=True),
              axis=dict(format=".0%", tickCount=5, minExtent=LEFT, maxExtent=LEFT))  # fmt: skip
    colour = channel("checkpoint:N", scale=dict(domain=list(colours), range=list(colours.values())))
    dash = channel("kind:N", scale=dict(domain=list(DASHES), range=list(DASHES.values())))
    tooltip = [channel(f"{f}:N") for f in ("checkpoint", "kind", along, "text", "n")]
    base = Chart(data(rows)).encode(x=x, color=colour)
    passes = Chart(data([r for r in rows if r["kind"] == "pass"])).encode(x=x, color=colour)
    bars = passes.mark_rule(opacity=0.4).encode(y=channel("low:Q", title=""), y2="high:Q")
    line = base.mark_line(strokeWidth=1.5).encode(y=y, strokeDash=dash)
    points = base.mark_point(filled=True, size=40, opacity=1).encode(y=y, tooltip=tooltip)
    return specification([bars, line, points], 230)
