"""What each selection rule picks on validation examples, and how good that is on test examples."""

from functools import partial
from typing import Any

from overmem.records import Choice
from overmem.report.charts import data, domain_of, specification
from overmem.report.findings import Findings, has_value
from overmem.report.markup import Section, render
from overmem.report.numbers import estimate_text, remarks, shared_n
from overmem.report.sections.answer import rule_name
from overmem.report.vega import Chart, channel
from overmem.statistics import negated


def choices(findings: Findings) -> Section:
    """The recommendation and the usual rules, each with its change of accuracy."""
    verdict = findings.verdict
    best = verdict.recommended or verdict.best
    choices_shown = ((best,) if best else ()) + verdict.choices
    drawn = [c for c in verdict.choices if has_value(c.regret) and c.checkpoint != verdict.best_of_run]
    charts = {"regret": forest(drawn, findings)} if drawn else {}
    body = render(
        "choices.html.j2",
        choices=choices_shown,
        remarks=remarks(e for c in choices_shown for e in (c.accuracy, c.nll, c.regret)),
        reason=best.reason if best else "",
        best=verdict.best_of_run,
        shipped=verdict.shipped,
        rule_name=partial(rule_name, findings),
        score=verdict.accuracy_name,
        where=findings.confirmed_on,
        charts=charts,
        gain=negated,
        n=shared_n(c.accuracy for c in choices_shown),
    )
    where = findings.confirmed_on
    lead = "Each rule chooses on validation examples; every number here is on test examples that no rule has seen."
    return Section(
        "Selection rules",
        body,
        charts,
        lead if where == "test" and findings.chosen_on == "val" else "",
        is_empty=len(choices_shown) < 2,
    )


def forest(drawn: list[Choice], findings: Findings) -> dict[str, Any]:
    """Accuracy of each rule's choice against the recommendation, with its interval; a loss is left of the line."""
    change = f"change of {findings.verdict.accuracy_name}, points"
    rows = [
        {"rule": rule_name(findings, c.rule), "checkpoint": c.checkpoint or "none", "value": c.regret.value}
        | {
            "low": c.regret.low,
            "high": c.regret.high,
            "n": c.regret.n,
            "text": estimate_text(negated(c.regret), "points"),
        }
        for c in drawn
    ]
    low, high = domain_of(c.regret for c in drawn)
    scale = dict(domain=[min(low, -0.01), max(high, 0.01)], nice=False, reverse=True)
    axis = dict(labelExpr="datum.value == 0 ? '0' : format(-datum.value * 100, '+.3~f')", tickCount=8)
    x = channel("value:Q", scale=scale, axis=axis, title=change)
    y = channel("rule:N", sort=None, title=None, axis=dict(grid=False, labelLimit=190, labelColor="var(--ink)"))
    tooltip = [
        channel("rule:N"),
        channel("checkpoint:N"),
        channel("text:N", title=change),
        channel("n:Q"),
    ]
    base = Chart(data(rows)).encode(y=y, tooltip=tooltip)
    zero = Chart(data([{"value": 0}])).mark_rule(color="var(--ship)", strokeWidth=1.5).encode(x="value:Q")
    ends = channel("low:Q", title=change)
    bars = base.mark_rule(strokeWidth=2, color="var(--ink)", opacity=0.55).encode(x=ends, x2="high:Q")
    points = base.mark_point(filled=True, size=90, color="var(--ink)", opacity=1).encode(x=x)
    return specification([zero, bars, points], 34 * len(rows))
