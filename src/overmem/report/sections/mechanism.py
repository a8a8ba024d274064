"""Why perplexity rises while accuracy stays: which tokens carry it, and how much of it is scale."""

from typing import Any

from overmem.records import Estimate
from overmem.report.charts import row
from overmem.report.figures import beside, coloured, compared, course, curves, dots
from overmem.report.findings import Findings
from overmem.report.markup import Section, render
from overmem.report.tokens import TokenStory

PARTS = {
    "nll_part_agree": "tokens that greedy decoding gets right",
    "nll_part_disagree": "tokens that it gets wrong",
}
TABLE = {
    "nll above the minimum, nats per token": ("mechanism", "excess", "excess"),
    "of it, on tokens that greedy decoding gets right": ("mechanism", "agree_share", "share"),
    "of it, undone by one temperature": ("mechanism", "scale_share", "share"),
    "of the rise, on the hundredth of tokens that rose most": ("mechanism", "top_percent_share", "percent"),
    "tokens that greedy decoding gets wrong": ("mechanism", "disagree_share", "percent"),
}
HEAT = (0.1, 0.5, 1.0, 2.0, 4.0)
"""Nats above the reference from which a token is shaded one step deeper."""


def mechanism(findings: Findings) -> Section:
    """The two parts of the nll along the run, the shares of the excess, and the tokens that carry it."""
    split, story = findings.chosen_on, findings.tokens
    lines = coloured(PARTS.values())
    rows = [r for m, words in PARTS.items() for r in course(findings, words, split, ("mechanism", m), "nll")]
    charts: dict[str, Any] = {}
    if rows:
        charts["parts"] = curves(findings, rows, lines, ".3~r", low=0.0, height=230)
    if isinstance(story, TokenStory) and story.carriers:
        charts["carriers"] = carried(story)
    body = render(
        "mechanism.html.j2",
        charts=charts,
        table=beside(findings, split, TABLE),
        names=findings.compared,
        colours=compared(findings),
        lines=lines,
        story=story if isinstance(story, TokenStory) else None,
        reason=story if isinstance(story, str) else "",
        heat=heat,
        heats=HEAT,
    )
    lead = "When a model only grows surer, what it gets right costs less and what it gets wrong costs more."
    return Section("Why perplexity rises", body, charts, lead if rows else "")


def heat(excess: float) -> int:
    """How deep a token is shaded, from 0 to the number of steps."""
    return sum(excess >= step for step in HEAT)


def carried(story: TokenStory) -> dict[str, Any]:
    """The share of the rise that each of the worst tokens carries, with how often it stands there."""
    rows = []
    for text, carrier in story.carriers:
        share = Estimate(carrier.share.value, carrier.share.low, carrier.share.high, carrier.count)
        if share.value is not None:
            rows.append(row(0, share, "percent", line="share", name=f"“{visible(text)}” × {carrier.count}"))
    form = "format(datum.value, '.0%')"
    return dots(rows, {"share": "var(--onset)"}, "share of the rise", form=form, each=22)


def visible(text: str) -> str:
    r"""A token's text with what cannot be seen made visible.

    >>> visible(" so"), visible("\n")
    ('␣so', '⏎')
    """
    return text.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥") or "nothing"
