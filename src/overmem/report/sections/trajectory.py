"""Accuracy and perplexity along the run, the regimes behind them: the paper's first figure."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from overmem.records import REGIMES, Estimate
from overmem.report.charts import (
    Domain,
    Layer,
    Rows,
    background,
    bands,
    data,
    domain_of,
    row,
    spans,
    specification,
    step_axis,
    step_domain,
    value_axis,
    whiskers,
)
from overmem.report.figures import beyond_frame
from overmem.report.findings import ACCURACY, NLL, Findings, has_value
from overmem.report.markup import Section, render
from overmem.report.numbers import estimate_text, perplexity_of
from overmem.report.vega import Chart, Spec, channel, expression, selection, where_selected

Estimates: TypeAlias = Mapping[str, Estimate]
"""By checkpoint name."""

WORDS = {"val": "validation", "test": "test"}
ACCURACY_HEIGHT = 104
PERPLEXITY_HEIGHT = 88


def trajectory(findings: Findings) -> Section:
    """Two panels over one axis of steps."""
    accuracies = {c.checkpoint.name: c.accuracy for c in findings.trained}
    perplexities = {c.checkpoint.name: perplexity_of(c.nll) for c in findings.trained}
    charts: dict[str, Any] = {}
    notes = []
    if any(has_value(e) for e in accuracies.values()):
        charts["accuracy"] = _panel(findings, "accuracy", accuracies)
        notes += _outside(findings, ACCURACY, accuracies)
    else:
        notes.append(f"No accuracy is drawn: {_first_note(accuracies)}.")
    if any(has_value(e) for e in perplexities.values()):
        charts["perplexity"] = _panel(findings, "perplexity", perplexities)
        notes += _outside(findings, NLL, perplexities)
    else:
        notes.append(f"No perplexity is drawn: {_first_note(perplexities)}.")
    present = list(dict.fromkeys(b["regime"] for b in bands(findings)))
    body = render(
        "trajectory.html.j2",
        charts=charts,
        regimes=[regime for regime in REGIMES.values() if regime.name in present],
        shipped=findings.verdict.shipped,
        score=findings.verdict.accuracy_name,
        onset=bool(findings.verdict.onset),
        has_test="test" in findings.splits and findings.chosen_on != "test",
        chosen_on=WORDS[findings.chosen_on],
        unjudged=[c.name for c in findings.unjudged],
        accuracy_limit=_accuracy_limit(findings) is not None,
        perplexity_limit=_perplexity_limit(findings) is not None,
        d_nll=_costly_rise(findings),
        margin=findings.verdict.limits.margin,
        n=max((e.n for e in [*accuracies.values(), *perplexities.values()]), default=0),
        notes=notes,
    )
    return Section("Along the run", body, charts)


def _first_note(estimates: Estimates) -> str:
    return next((e.note for e in estimates.values() if e.note), "not measured")


def _outside(findings: Findings, what: tuple[str, str], estimates: Estimates) -> list[str]:
    """The base model may be so far off that it would flatten the curve; then it is named in a note too."""
    low, high = _frame(findings, what, estimates)
    chart, unit = ("first", "percent") if what == ACCURACY else ("second", "perplexity")
    notes = []
    for name, estimate in estimates.items():
        if estimate.value is not None and not low <= estimate.value <= high:
            side = "Below" if estimate.value < low else "Above"
            notes.append(f"{side} the frame of the {chart} chart: {name}, {what[0]} {estimate_text(estimate, unit)}.")
    return notes


def _frame(findings: Findings, what: tuple[str, str], estimates: Estimates) -> Domain:
    """The vertical range: what training reached, and the base model too where it does not flatten the rest."""
    ends = {"low": 0.0, "high": 1.0} if what == ACCURACY else {"low": 1.0}
    limit = _accuracy_limit(findings) if what == ACCURACY else _perplexity_limit(findings)
    after_start = {c.checkpoint.name for c in findings.trained if c.checkpoint.step > 0}
    drawn = [e for name, e in estimates.items() if name in after_start and has_value(e)] or list(estimates.values())
    tests = [Estimate(e.value) for name, e in _on_test(findings, what).items() if name in after_start]
    low, high = domain_of([*drawn, *tests, Estimate(limit)], **ends)
    all_low, all_high = domain_of([*estimates.values(), Estimate(low), Estimate(high)], **ends)
    return (all_low, all_high) if all_high - all_low < 1.6 * (high - low) else (low, high)


def _on_test(findings: Findings, what: tuple[str, str]) -> Estimates:
    metric = findings.accuracy if what == ACCURACY else what
    measured = {c.checkpoint.name: findings.measured(c.checkpoint.name, "test", metric) for c in findings.trained}
    return measured if what == ACCURACY else {name: perplexity_of(e) for name, e in measured.items()}


def _costly_rise(findings: Findings) -> float | None:
    """The rise of nll that is costly, in nats per token; None where nothing was judged."""
    nlls = [c.nll.value for c in findings.trained if has_value(c.nll) and c.nll.value is not None]
    if not nlls or not any(has_value(c.excess) for c in findings.trained):
        return None
    return findings.verdict.limits.nats_per_token(min(nlls), None)


def _perplexity_limit(findings: Findings) -> float | None:
    """The perplexity above which a checkpoint is costly: the minimum plus the allowed excess."""
    rise = _costly_rise(findings)
    nlls = [c.nll.value for c in findings.trained if has_value(c.nll) and c.nll.value is not None]
    return None if rise is None else perplexity_of(Estimate(min(nlls) + rise)).value


def _accuracy_limit(findings: Findings) -> float | None:
    """The accuracy that counts as kept: the reference minus the margin."""
    for c in findings.trained:
        if c.accuracy.value is not None and c.accuracy_gap.value is not None:
            return c.accuracy.value - c.accuracy_gap.value - findings.verdict.limits.margin
    return None


def _panel(findings: Findings, name: str, estimates: Estimates) -> dict[str, Any]:
    top = name == "accuracy"
    unit, height = ("percent", ACCURACY_HEIGHT) if top else ("perplexity", PERPLEXITY_HEIGHT)
    what = ACCURACY if top else NLL
    limit = _accuracy_limit(findings) if top else _perplexity_limit(findings)
    tests = _on_test(findings, what)
    domain = _frame(findings, what, estimates)
    x = step_axis(findings, labels=not top)
    y = value_axis("value", findings.verdict.accuracy_name if top else name, domain, ".1~%" if top else ".3~r")
    rows = [
        row(
            c.checkpoint.step,
            estimates[c.checkpoint.name],
            unit,
            checkpoint=c.checkpoint.name,
            split=findings.chosen_on,
        )
        for c in findings.trained
    ]
    layers: list[Layer] = [background(findings, x)]
    if limit is not None and domain[0] < limit < domain[1]:
        rule = Chart(data([{"value": limit}])).mark_rule(strokeDash=[2, 3], color="var(--ink)", opacity=0.55)
        layers.append(rule.encode(y=y))
    layers += _onset(findings, x, height, labelled=not top)
    layers += _tests(findings, tests, unit, x, y)
    layers += whiskers(rows, x, y)
    layers += _unjudged(findings, what, unit, x, y)
    if findings.trained[0].checkpoint.step == 0:
        layers += beyond_frame(estimates[findings.trained[0].checkpoint.name], domain, unit, x, height)
    layers += _shipped(findings, what, estimates, x, y, labelled=top)
    if top:
        layers.append(_band_names(findings, x))
    layers.append(_hover(findings, tests, estimates, name, unit, x))
    return specification(layers, height)


def _tests(findings: Findings, tests: Estimates, unit: str, x: Spec, y: Spec) -> list[Layer]:
    rows = [
        row(c.checkpoint.step, tests[c.checkpoint.name], unit, checkpoint=c.checkpoint.name, split="test")
        for c in findings.trained
    ]
    rows = [r for r in rows if r["value"] is not None]
    line = Chart(data(rows)).mark_line(strokeDash=[5, 4], strokeWidth=1.25, color="var(--ink)", opacity=0.6, clip=True)
    return [line.encode(x=x, y=y)] if rows else []


def _measured(findings: Findings, checkpoint: str, what: tuple[str, str]) -> Estimate:
    measured = findings.measured(checkpoint, findings.chosen_on, what)
    return measured if what == ACCURACY else perplexity_of(measured)


def _unjudged(findings: Findings, what: tuple[str, str], unit: str, x: Spec, y: Spec) -> list[Layer]:
    rows: Rows = []
    for checkpoint in findings.unjudged:
        measured = _measured(findings, checkpoint.name, what)
        if has_value(measured):
            rows.append(row(checkpoint.step, measured, unit, checkpoint=checkpoint.name, split=findings.chosen_on))
    if not rows:
        return []
    mark = Chart(data(rows)).mark_point(
        shape="diamond", size=90, strokeWidth=1.75, color="var(--ship)", fill="var(--paper)", opacity=1, clip=True
    )
    return [mark.encode(x=x, y=y)]


def _shipped(
    findings: Findings, what: tuple[str, str], estimates: Estimates, x: Spec, y: Spec, *, labelled: bool
) -> list[Layer]:
    """The recommended checkpoint: a line through the panel, a ring around its point, its name on top."""
    checkpoint = findings.checkpoint(findings.verdict.shipped)
    if checkpoint is None:
        return []
    estimate = estimates.get(checkpoint.name) or _measured(findings, checkpoint.name, what)
    base = Chart(data([{"step": checkpoint.step, "value": estimate.value, "name": f"ship {checkpoint.name}"}]))
    layers: list[Layer] = [base.mark_rule(color="var(--ship)", strokeWidth=1.5).encode(x=x)]
    if has_value(estimate):
        ring = base.mark_point(
            size=210, strokeWidth=2.5, color="var(--ship)", fill="var(--paper)", opacity=1, clip=True
        )
        point = base.mark_point(size=70, filled=True, color="var(--ship)", opacity=1, clip=True)
        layers += [ring.encode(x=x, y=y), point.encode(x=x, y=y)]
    if labelled:
        align, shift = _side(findings, checkpoint.step)
        text = base.mark_text(
            align=align,
            dx=shift,
            y=-26,
            baseline="middle",
            fontWeight=600,
            fontSize=12.5,
            color="var(--ship)",
            clip=False,
        )
        flag = base.mark_rule(color="var(--ship)", strokeWidth=1.5, y=-34, y2=0)
        layers += [flag.encode(x=x), text.encode(x=x, text="name:N")]
    return layers


def _side(findings: Findings, step: int | float) -> tuple[Any, int]:
    """Labels are right of their line, or left of it in the right half of the chart."""
    first, last = step_domain(findings)
    return ("right", -7) if (step - first) / (last - first) > 0.5 else ("left", 7)


def _onset(findings: Findings, x: Spec, height: int, *, labelled: bool) -> list[Layer]:
    """Where over-memorization begins: a dashed line, its name above it, its interval as a bar."""
    onset = findings.verdict.onset.step if findings.verdict.onset else Estimate(None)
    if onset.value is None:
        return []
    first, last = step_domain(findings)
    low, high = (max(first, min(last, e if e is not None else onset.value)) for e in (onset.low, onset.high))
    base = Chart(data([{"step": onset.value, "low": low, "high": high, "text": "onset"}]))
    line = base.mark_rule(color="var(--onset)", strokeWidth=1.5, strokeDash=[5, 3])
    layers: list[Layer] = [line.encode(x=x)]
    if labelled:
        left = x.copy()
        left["field"] = "low"
        bar = base.mark_rule(color="var(--onset)", strokeWidth=5, opacity=0.85, y=height - 2.5, strokeCap="butt")
        flag = base.mark_rule(color="var(--onset)", strokeWidth=1.5, strokeDash=[5, 3], y=-14, y2=0)
        align, shift = _side(findings, onset.value)
        text = base.mark_text(
            align=align, dx=shift, y=-8, baseline="middle", fontWeight=600, fontSize=12.5, color="var(--onset)"
        )
        layers += [bar.encode(x=left, x2="high:Q"), flag.encode(x=x), text.encode(x=x, text="text:N")]
    return layers


def _band_names(findings: Findings, x: Spec) -> Layer:
    """The regime's name above its band; left out where the band is too narrow for it, as the legend names it too."""
    width = "scale('x', datum.end) - scale('x', datum.step) - 2"
    limit, opacity = expression(f"max(1, {width})"), expression(f"{width} > 6 * length(datum.regime) ? 1 : 0")
    names = Chart(data(bands(findings))).mark_text(
        align="left", dx=1, y=-8, baseline="middle", limit=limit, opacity=opacity, color="var(--quiet)", fontSize=12
    )
    layer: Layer = names.encode(x=x, text="regime:N")
    return layer


def _hover(findings: Findings, tests: Estimates, estimates: Estimates, name: str, unit: str, x: Spec) -> Layer:
    """One column per checkpoint, invisible until hovered over, with every number of it in the tooltip."""
    rows: Rows = []
    for span, c in zip(spans(findings), findings.trained, strict=True):
        shown = estimates[c.checkpoint.name]
        cells = {"checkpoint": c.checkpoint.name, "regime": c.regime, "validation": estimate_text(shown, unit)}
        cells |= {"test": estimate_text(tests[c.checkpoint.name], unit), "n": f"{shown.n:,}"}
        cells |= {"excess": estimate_text(c.excess, "excess")} if name == "perplexity" else {}
        rows.append(span | cells)
    fields = ["checkpoint", "regime", "validation", "test", "n", *(["excess"] if name == "perplexity" else [])]
    titles = {
        "validation": f"{name}, {WORDS[findings.chosen_on]}",
        "test": f"{name}, test",
        "excess": "excess, nats per token",
    }
    pointed = selection("pointed", on="pointerover", clear="pointerout", fields=["step"])
    tooltip = [channel(f"{f}:N", title=titles.get(f, f)) for f in fields]
    seen = where_selected(pointed, 0.06, 0)
    columns = Chart(data(rows)).mark_rect(color="var(--ink)").encode(x=x, x2="end:Q", opacity=seen, tooltip=tooltip)
    layer: Layer = columns.add_params(pointed)
    return layer
