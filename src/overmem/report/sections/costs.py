"""What over-memorization costs: each consequence against the recommended checkpoint."""

from typing import Any

from overmem.records import Consequence
from overmem.report.charts import data, domain_of, specification
from overmem.report.findings import Findings, has_value
from overmem.report.markup import Section, render
from overmem.report.numbers import STATES, estimate_text
from overmem.report.vega import Chart, channel


def costs(findings: Findings) -> Section:
    """A forest plot of the differences, and their table."""
    verdict = findings.verdict
    drawn = [c for c in verdict.costs if has_value(c.difference)]
    charts = {"forest": forest(drawn)} if drawn else {}
    body = render(
        "costs.html.j2",
        costs=verdict.costs,
        privacy=verdict.privacy,
        charts=charts,
        unpriced=not any(c.regime == "over-memorized" for c in verdict.checkpoints),
        confirmed=sum(c.confirmed for c in verdict.costs),
        recommended=verdict.best_of_run,
        states=STATES,
    )
    lead = "A rising perplexity alone can be harmless. It is harm only where something that matters gets worse."
    return Section("Harm", body, charts, lead, is_empty=not (verdict.costs or verdict.privacy))


def forest(drawn: list[Consequence]) -> dict[str, Any]:
    """Each difference with its interval about the line of no difference; confirmed ones are filled."""
    one_checkpoint = len({c.checkpoint for c in drawn}) == 1
    rows = [
        {
            "cost": c.name if one_checkpoint else f"{c.name}, {c.checkpoint}",
            "checkpoint": c.checkpoint,
            "value": c.difference.value,
            "low": c.difference.low,
        }
        | {"high": c.difference.high, "n": c.difference.n, "text": estimate_text(c.difference, "difference")}
        | {
            "confirmed": "confirmed" if c.confirmed else "not confirmed",
            "state": STATES[c.state],
            "p": None if c.p is None else f"{c.p:.3g}",
        }
        for c in drawn
    ]
    low, high = domain_of(c.difference for c in drawn)
    scale = dict(domain=[min(low, -0.01), max(high, 0.01)], nice=False)
    x = channel(
        "value:Q",
        scale=scale,
        title="worse by (0.01 is one point of a share)",
        axis=dict(labelExpr="datum.value == 0 ? '0' : format(datum.value, '+.3~f')", tickCount=8),
    )
    y = channel("cost:N", sort=None, title=None, axis=dict(grid=False, labelLimit=300, labelColor="var(--ink)"))
    fill = dict(domain=["confirmed", "not confirmed"], range=["var(--onset)", "var(--paper)"])
    tooltip = [channel(f"{f}:N") for f in ("cost", "checkpoint", "state", "p", "n")]
    base = Chart(data(rows)).encode(y=y, tooltip=[*tooltip, channel("text:N", title="difference")])
    zero = Chart(data([{"value": 0}])).mark_rule(color="var(--ship)", strokeWidth=1.5).encode(x="value:Q")
    bars = base.mark_rule(strokeWidth=2, color="var(--onset)", opacity=0.7).encode(x="low:Q", x2="high:Q")
    points = base.mark_point(size=90, strokeWidth=2, color="var(--onset)", opacity=1)
    points = points.encode(x=x, fill=channel("confirmed:N", scale=fill, legend=None))
    return specification([zero, bars, points], 34 * len(rows))
