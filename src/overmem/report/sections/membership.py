"""Whether training examples can be identified as such, and which are the most exposed."""

from typing import Any

from overmem.probes.attacks import ATTACKS
from overmem.records import Estimate
from overmem.report.charts import row
from overmem.report.figures import coloured, compared, course, curves, dots
from overmem.report.findings import Findings, estimate_of_row, has_value
from overmem.report.markup import Section, nothing, render
from overmem.report.numbers import remarks

BLIND = "blind: text alone, no model"
NAMES = {**{name: name for name in ATTACKS}, "lt_iqr": "lt-iqr: range over the checkpoints", "blind": BLIND}
"""Attack -> its label; the last is the baseline that the others must beat."""
TITLE = "Membership"
ALONG = ("ratio", "loss", "minkpp", "lt_iqr", "blind")
METRICS = ("auroc", "tpr@1%", "tpr@0.1%")
LONGEST = 160
"""Characters of a question that are shown."""


def membership(findings: Findings) -> Section:
    """The AUROC of every attack and of the text-only baseline, also along the run, and the most exposed examples."""
    colours = compared(findings)
    attacks = [a for a in NAMES if any(has_value(_of(findings, name, a, "auroc")) for name in colours)]
    rows = [
        row(0, _of(findings, name, attack, "auroc"), "nll", line=name, name=NAMES[attack])
        for attack in attacks
        for name in colours
        if has_value(_of(findings, name, attack, "auroc"))
    ]
    charts: dict[str, Any] = {}
    if rows:
        charts["attacks"] = dots(
            rows, colours, "AUROC; 0.5 is chance", no_effect=0.5, form="format(datum.value, '.2f')"
        )
    lines = coloured(NAMES[a] for a in ALONG if a in attacks)
    courses = [
        r for a in ALONG if a in attacks
        for r in course(findings, NAMES[a], "train", ("membership", f"{a}_auroc"), "nll")
    ]  # fmt: skip
    if courses:
        charts["course"] = curves(findings, courses, lines, ".2f", low=0.0, high=1.03, height=300)
    late = findings.compared[-1] if findings.compared else ""
    table = [(NAMES[a], [_of(findings, late, a, metric) for metric in METRICS]) for a in attacks]
    shown = [e for _, estimates in table for e in estimates]
    exposed = {title: _ranking(findings, late, kind) for title, kind in
               (("By how much their loss fell below that of the base model", "exposed"),
                ("By how much their loss varied over the checkpoints", "lt_iqr_exposed"))}  # fmt: skip
    if not table and not any(exposed.values()):
        return nothing(TITLE, "Membership was not measured: it needs scores of train and validation examples.")
    body = render(
        "membership.html.j2", charts=charts, table=table, colours=colours, lines=lines, late=late,
        exposed={title: ranking for title, ranking in exposed.items() if ranking},
        remarks=remarks(shown),
        n=max((e.n for e in shown), default=0),
    )  # fmt: skip
    lead = (
        "How well training examples can be identified. An attack that does not beat the text-only baseline shows that "
    )
    lead += "the two sets of texts differ, not that the model memorized one of them."
    return Section(TITLE, body, charts, lead if table else "")


def _of(findings: Findings, name: str, attack: str, metric: str) -> Estimate:
    return findings.measured(name, "train", ("membership", f"{attack}_{metric}"))


def _ranking(findings: Findings, late: str, metric: str) -> list[dict[str, Any]]:
    """The examples of a ranking in order, with their questions where these were kept."""
    ranked = []
    for m in findings.by_key.get((late, "train", "membership", metric), ()):
        if m.value is not None:
            name = str(m.at["example"])
            text = findings.questions.get(name, "")
            shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
            ranked.append({"id": name, "by": estimate_of_row(m), "text": shown})
    return ranked
