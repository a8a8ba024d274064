"""Every checkpoint: what was measured, which regime it is in, and why."""

from overmem.report.findings import NLL, Findings
from overmem.report.markup import Section, render
from overmem.report.numbers import remarks, shared_n


def checkpoints(findings: Findings) -> Section:
    """One row per checkpoint, merged ones last."""
    verdict = findings.verdict
    rows = [
        {"checkpoint": c.checkpoint, "regime": c.regime, "reason": c.reason}
        | {"accuracy": c.accuracy, "nll": c.nll, "excess": c.excess, "p_costly": c.p_costly, "p_kept": c.p_kept}
        for c in findings.trained
    ]
    merged = [
        {"checkpoint": c, "accuracy": findings.measured(c.name, findings.chosen_on, findings.accuracy)}
        | {"nll": findings.measured(c.name, findings.chosen_on, NLL)}
        for c in findings.unjudged
    ]
    body = render(
        "checkpoints.html.j2",
        rows=rows,
        merged=merged,
        shipped=verdict.shipped,
        score=verdict.accuracy_name,
        onset=verdict.onset.checkpoint if verdict.onset else "",
        remarks=remarks(e for c in findings.trained for e in (c.accuracy, c.nll, c.excess)),
        n_accuracy=shared_n(c.accuracy for c in findings.trained),
        n_nll=shared_n(c.nll for c in findings.trained),
    )
    where = {"val": "validation", "test": "test"}[findings.chosen_on]
    paired = ", paired over examples" if findings.verdict.evidence == "observations" else ""
    lead = f"On {where} examples. Excess is nats per token above the perplexity minimum{paired}."
    return Section("Checkpoints", body, lead=lead, is_empty=not rows)
