"""The first screen: which checkpoint to ship, what the habit would have cost, and since when."""

from collections.abc import Iterable

from overmem.records import Choice, Estimate, Severity
from overmem.report.findings import Findings, has_value
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
        shipped=shipped,
        shipped_checkpoint=findings.checkpoint(shipped.checkpoint) if shipped else None,
        shipped_regime=_regime_of(findings, shipped.checkpoint) if shipped else "",
        others=_by_checkpoint(others),
        agreed=bool(verdict.choices) and not others,
        where=findings.confirmed_on,
        rules=RULES,
        onset=_onset(findings),
        excess=verdict.severity.excess if verdict.severity else None,
        shares=_shares(verdict.severity),
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
    if onset is None:
        return {}
    words = {"checkpoint": onset.checkpoint}
    for unit, crossing in (("step", onset.step), ("epoch", onset.epoch)):
        if has_value(crossing):
            words |= {unit: value_text(crossing, unit), f"{unit}_interval": interval_text(crossing, unit)}
    return words


def _shares(severity: Severity | None) -> dict[str, Estimate]:
    """The parts of the excess that were measured."""
    if severity is None:
        return {}
    shares = {"scale share": severity.scale_share, "agree share": severity.agree_share}
    return {name: share for name, share in shares.items() if has_value(share)}
