"""Why perplexity rises while accuracy stays: the tokens responsible, and the part that is only overconfidence."""

from typing import Any

from overmem.records import Estimate
from overmem.report.charts import row
from overmem.report.figures import coloured, compared, comparison_rows, course, curves, dots
from overmem.report.findings import Findings
from overmem.report.markup import Section, nothing, render
from overmem.report.tokens import TokenBreakdown

PARTS = {
    "nll_part_agree": "tokens that greedy decoding gets right",
    "nll_part_disagree": "tokens that greedy decoding gets wrong",
}
TABLE = {
    "excess over the lowest nll, nats per token": ("mechanism", "excess", "excess"),
    "share of the excess on tokens that greedy decoding gets right": ("mechanism", "agree_share", "share"),
    "share of the excess that a single temperature undoes": ("mechanism", "scale_share", "share"),
    "share of the rise on the 1% of tokens that rose most": ("mechanism", "top_percent_share", "percent"),
    "tokens that greedy decoding gets wrong": ("mechanism", "disagree_share", "percent"),
}
TITLE = "Why perplexity rises"
HEAT = (0.1, 0.5, 1.0, 2.0, 4.0)
"""Nats above the reference from which a token is shaded one step deeper."""


def mechanism(findings: Findings) -> Section:
    """The two parts of the nll along the run, the shares of the excess, and the tokens that carry it."""
    split, breakdown = findings.chosen_on, findings.tokens
    lines = coloured(PARTS.values())
    rows = [r for m, words in PARTS.items() for r in course(findings, words, split, ("mechanism", m), "nll")]
    charts: dict[str, Any] = {}
    if rows:
        charts["parts"] = curves(findings, rows, lines, ".3~r", low=0.0, height=230)
    if isinstance(breakdown, TokenBreakdown) and breakdown.carriers:
        charts["carriers"] = carrier_chart(breakdown)
    table = comparison_rows(findings, split, TABLE)
    if not charts and not table and not isinstance(breakdown, TokenBreakdown):
        return nothing(TITLE, f"The tokens responsible cannot be shown: {breakdown}.")
    body = render(
        "mechanism.html.j2",
        charts=charts,
        table=table,
        names=findings.compared,
        colours=compared(findings),
        lines=lines,
        breakdown=breakdown if isinstance(breakdown, TokenBreakdown) else None,
        reason=breakdown if isinstance(breakdown, str) else "",
        heat=heat,
        heats=HEAT,
    )
    lead = "A model that only becomes more confident is less surprised where it is right and more where it is wrong."
    return Section(TITLE, body, charts, lead if rows else "")


def heat(excess: float) -> int:
    """How deep a token is shaded, from 0 to the number of steps."""
    return sum(excess >= step for step in HEAT)


def carrier_chart(breakdown: TokenBreakdown) -> dict[str, Any]:
    """The share of the rise that each of the worst tokens carries, with the number of its occurrences."""
    rows = []
    for text, carrier in breakdown.carriers:
        share = Estimate(carrier.share.value, carrier.share.low, carrier.share.high, carrier.count)
        if share.value is not None:
            rows.append(row(0, share, "percent", line="share", name=f"“{visible(text)}” × {carrier.count}"))
    form = "format(datum.value, '.0%')"
    return dots(rows, {"share": "var(--onset)"}, "share of the rise", form=form, height=22)


def visible(text: str) -> str:
    r"""A token's text with what cannot be seen made visible.

    >>> visible(" so"), visible("\n")
    ('␣so', '⏎')
    """
    return text.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥") or "(empty)"
