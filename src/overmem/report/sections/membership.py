"""Whether training examples can be told from others, and which ones are the most exposed."""

from typing import Any

from overmem.probes.attacks import ATTACKS
from overmem.records import Estimate
from overmem.report.charts import row
from overmem.report.figures import coloured, compared, course, curves, dots
from overmem.report.findings import Findings, estimate_of_row, has_value
from overmem.report.markup import Section, render
from overmem.report.numbers import remarks

BLIND = "blind: words alone, no model"
NAMES = {**{name: name for name in ATTACKS}, "lt_iqr": "lt-iqr: range over the checkpoints", "blind": BLIND}
"""Attack -> how it is called here; the last one is what the others must beat."""
ALONG = ("ratio", "loss", "minkpp", "lt_iqr", "blind")
METRICS = ("auroc", "tpr@1%", "tpr@0.1%")
LONGEST = 160
"""Characters of a question that are shown."""


def membership(findings: Findings) -> Section:
    """The AUROC of every attack beside that of words alone, along the run too, and the training examples by name."""
    colours = compared(findings)
    known = [a for a in NAMES if any(has_value(_of(findings, name, a, "auroc")) for name in colours)]
    rows = [
        row(0, _of(findings, name, attack, "auroc"), "nll", line=name, name=NAMES[attack])
        for attack in known
        for name in colours
        if has_value(_of(findings, name, attack, "auroc"))
    ]
    charts: dict[str, Any] = {}
    if rows:
        charts["attacks"] = dots(rows, colours, "AUROC; 0.5 is chance", nothing=0.5, form="format(datum.value, '.2f')")
    lines = coloured(NAMES[a] for a in ALONG if a in known)
    courses = [
        r for a in ALONG if a in known
        for r in course(findings, NAMES[a], "train", ("membership", f"{a}_auroc"), "nll")
    ]  # fmt: skip
    if courses:
        charts["course"] = curves(findings, courses, lines, ".2f", low=0.0, high=1.03, height=300)
    late = findings.compared[-1] if findings.compared else ""
    table = [(NAMES[a], [_of(findings, late, a, metric) for metric in METRICS]) for a in known]
    shown = [e for _, at in table for e in at]
    exposed = {title: _named(findings, late, kind) for title, kind in
               (("By what training gained over the base model", "exposed"),
                ("By how far its loss moved over the checkpoints", "lt_iqr_exposed"))}  # fmt: skip
    body = render(
        "membership.html.j2", charts=charts, table=table, colours=colours, lines=lines, late=late,
        exposed={title: found for title, found in exposed.items() if found},
        remarks=remarks(shown),
        n=max((e.n for e in shown), default=0),
    )  # fmt: skip
    lead = "An attack that does not beat words alone has found that two sets of texts differ, not what the model kept."
    return Section("Who was in the training set", body, charts, lead if table else "")


def _of(findings: Findings, name: str, attack: str, metric: str) -> Estimate:
    return findings.measured(name, "train", ("membership", f"{attack}_{metric}"))


def _named(findings: Findings, late: str, metric: str) -> list[dict[str, Any]]:
    """The examples that a ranking names, in its order, with their questions as far as they are at hand."""
    ranked = []
    for m in findings.by_key.get((late, "train", "membership", metric), ()):
        if m.value is not None:
            name = str(m.at["example"])
            text = findings.questions.get(name, "")
            shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
            ranked.append({"id": name, "by": estimate_of_row(m), "text": shown})
    return ranked
