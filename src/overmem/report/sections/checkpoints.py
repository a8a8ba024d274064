"""Every checkpoint: what was measured, which regime it is in, and why."""

from overmem.report.charts import regime_key
from overmem.report.findings import ACCURACY, NLL, Findings
from overmem.report.markup import Section, render
from overmem.report.numbers import shared_n


def checkpoints(findings: Findings) -> Section:
    """One row a checkpoint, merged ones last."""
    verdict = findings.verdict
    rows = [
        {"checkpoint": c.checkpoint, "regime": c.regime, "key": regime_key(c.regime), "reason": c.reason}
        | {"accuracy": c.accuracy, "nll": c.nll, "excess": c.excess, "p_costly": c.p_costly, "p_kept": c.p_kept}
        for c in findings.trained
    ]
    merged = [
        {"checkpoint": c, "accuracy": findings.measured(c.name, "val", ACCURACY)}
        | {"nll": findings.measured(c.name, "val", NLL)}
        for c in findings.beside
    ]
    body = render(
        "checkpoints.html.j2",
        rows=rows,
        merged=merged,
        shipped=verdict.recommended.checkpoint if verdict.recommended else None,
        onset=str(verdict.onset.get("checkpoint") or ""),
        n_accuracy=shared_n(c.accuracy for c in findings.trained),
        n_nll=shared_n(c.nll for c in findings.trained),
    )
    lead = "On validation examples. Excess is nats a token above the perplexity minimum, paired over examples."
    return Section("Every checkpoint", body, lead=lead)
