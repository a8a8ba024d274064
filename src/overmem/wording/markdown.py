"""A verdict as Markdown, for a pull request."""

from overmem.records import REGIMES, Estimate, Verdict
from overmem.records.digits import with_interval


def markdown(verdict: Verdict) -> str:
    """Headline, sentences, and one row per checkpoint."""
    lines = [f"### {escaped(verdict.headline)}", ""]
    if verdict.evidence != "observations":
        lines += [f"*Reduced evidence: {verdict.evidence}.*", ""]
    lines += [f"- {escaped(s)}" for s in verdict.sentences]
    loss = "loss" if verdict.evidence == "curves only" else "nll"
    headings = f"| checkpoint | regime | {escaped(verdict.accuracy_name)} | {loss} | excess |"
    lines += ["", headings, "| --- | --- | --- | --- | --- |"]
    for v in verdict.checkpoints:
        name = escaped(v.checkpoint.name)
        name = f"**{name}** (ship)" if v.checkpoint.name == verdict.shipped else name
        numbers = (_share(v.accuracy), *(with_interval(x, verdict.nll_decimals) for x in (v.nll, v.excess)))
        lines.append(f"| {name} | {REGIMES[v.regime].mark} {v.regime} | {' | '.join(numbers)} |")
    n = max((v.accuracy.n for v in verdict.checkpoints), default=0)
    unit = "nats" if loss == "loss" else "nats per token"
    lines += ["", f"{f'n = {n:,}; i' if n else 'I'}ntervals are 95%; excess is of the trend, in {unit}."]
    if verdict.warnings:
        lines += ["", *(f"> {escaped(w)}" for w in verdict.warnings)]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text whose characters mean nothing in Markdown, on one line."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", " ")


def _share(estimate: Estimate) -> str:
    if estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{100 * estimate.value:.1f}%"
    return f"{100 * estimate.value:.1f}% ({100 * estimate.low:.1f}–{100 * estimate.high:.1f})"
