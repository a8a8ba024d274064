"""Out of distribution: every set on its own, and their mean."""

from math import inf
from typing import Any

from overmem.records import SplitName
from overmem.report.figures import coloured, compared, course, curves
from overmem.report.findings import ACCURACY, NLL, Findings, has_value
from overmem.report.markup import Section, nothing, render
from overmem.report.numbers import perplexity_of
from overmem.statistics import negated

TITLE = "Out of distribution"
MEAN = "mean of the sets"


def ood(findings: Findings) -> Section:
    """Accuracy and perplexity of test, of each set and of their mean along the run; a table of the changes."""
    sets = [split for split in findings.splits if SplitName.parse(split).is_ood]
    lines = coloured(["test", *sets, *([MEAN] if len(sets) > 1 else [])])
    charts: dict[str, Any] = {}
    for key, what, unit, form in (("accuracy", ACCURACY, "percent", ".0%"), ("perplexity", NLL, "ppl", ".3~r")):
        rows = [r for split in ("test", *sets) for r in course(findings, split, split, what, unit)]
        if MEAN in lines:
            rows += course(findings, MEAN, "ood", ("ood", what[1]), unit)
        if sets and rows:
            low, high = (0.0, 1.0) if unit == "percent" else (1.0, inf)
            charts[key] = curves(findings, rows, lines, form, low=low, high=high)
    table = [
        {"set": MEAN if split == "ood" else split, "checkpoint": name}
        | {"accuracy": findings.measured(name, split, ("ood", "accuracy") if split == "ood" else ACCURACY)}
        | {"perplexity": perplexity_of(findings.measured(name, split, ("ood", "nll") if split == "ood" else NLL))}
        | {"change": negated(findings.measured(name, split, ("ood", "accuracy_drop")))}
        for split in (*sets, *(["ood"] if len(sets) > 1 else []))
        for name in findings.compared
    ]
    table = [r for r in table if any(has_value(r[k]) for k in ("accuracy", "perplexity"))]  # type: ignore[arg-type]
    if not table:
        return nothing(TITLE, "No out-of-distribution set was measured. Name some under `ood` in the recipe's data.")
    body = render("ood.html.j2", charts=charts, table=table, lines=lines, colours=compared(findings))
    lead = "Accuracy and perplexity on problems unlike the training data, compared with test at the same checkpoint."
    return Section(TITLE, body, charts, lead)
