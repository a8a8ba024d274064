"""The first screen: which checkpoint to ship, what the habit would have cost, and since when."""

from collections.abc import Iterable

from overmem.records import Choice, Estimate
from overmem.report.charts import regime_key
from overmem.report.findings import Findings, estimate_of, has_value
from overmem.report.markup import Section, render
from overmem.report.numbers import interval_text, value_text

RULES = {
    "last": "the last checkpoint",
    "max-accuracy": "the highest accuracy",
    "min-nll": "the lowest perplexity",
    "paper": "the paper's rule",
    "one-se": "one standard error",
    "overmem": "overmem's rule",
    "merge": "the merge",
}
"""Selection rules as a reader knows them, the commonest first."""


def answer(findings: Findings) -> Section:
    """Headline, the checkpoint to ship, the price of the alternatives, onset and severity."""
    verdict = findings.verdict
    shipped = verdict.recommended if verdict.recommended and verdict.recommended.checkpoint else None
    others = [c for c in verdict.choices if shipped and c.checkpoint and c.checkpoint != shipped.checkpoint]
    body = render(
        "answer.html.j2",
        verdict=verdict,
        regime=regime_key(verdict.regime),
        shipped=shipped,
        shipped_checkpoint=findings.checkpoint(shipped.checkpoint) if shipped else None,
        shipped_regime=_regime_of(findings, shipped.checkpoint) if shipped else "",
        others=_by_checkpoint(others),
        agreed=bool(verdict.choices) and not others,
        where=findings.confirmed_on,
        rules=RULES,
        onset=_onset(findings),
        excess=estimate_of(verdict.severity["excess"]) if "excess" in verdict.severity else None,
        shares={k: estimate_of(v) for k, v in verdict.severity.items() if k.endswith("_share")},
    )
    return Section(verdict.headline, body)


def _regime_of(findings: Findings, name: str | None) -> str:
    return next((c.regime for c in findings.verdict.checkpoints if c.checkpoint.name == name), "")


def _by_checkpoint(choices: Iterable[Choice]) -> list[tuple[str, list[Choice]]]:
    grouped: dict[str, list[Choice]] = {}
    order = list(RULES)
    for choice in sorted(choices, key=lambda c: order.index(c.rule) if c.rule in order else len(order)):
        grouped.setdefault(choice.checkpoint or "", []).append(choice)
    return list(grouped.items())


def _onset(findings: Findings) -> dict[str, str]:
    onset = findings.verdict.onset
    if not onset:
        return {}
    step, epoch = (onset_estimate(findings, key) for key in ("step", "epoch"))
    words = {"checkpoint": str(onset.get("checkpoint") or "")}
    for key, found in (("step", step), ("epoch", epoch)):
        if has_value(found):
            words |= {key: value_text(found, key), f"{key}_interval": interval_text(found, key)}
    return words


def onset_estimate(findings: Findings, key: str) -> Estimate:
    """The onset in steps, epochs or cumulative learning rate, with its interval."""
    return estimate_of(findings.verdict.onset.get(key))
