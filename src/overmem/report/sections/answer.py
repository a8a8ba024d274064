"""The first screen: which checkpoint to ship, what the usual rules would have cost, and where the onset is."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from urllib.parse import urlencode

from overmem.records import Choice, Consequence, Estimate, Severity, Verdict
from overmem.report.findings import Findings, has_value
from overmem.report.markup import Section, prose, render
from overmem.report.numbers import STATES, interval_text, value_text
from overmem.statistics import negated
from overmem.wording.numbers import is_within_noise
from overmem.wording.scores import in_terms_of

RULES = {
    "last": "last checkpoint",
    "max-accuracy": "highest accuracy",
    "min-nll": "lowest perplexity",
    "paper": "the paper's rule",
    "one-se": "one standard error",
    "overmem": "lowest perplexity of the most accurate",
    "healthy": "best healthy one",
    "merge": "merge",
    "trainer": "the trainer's own choice",
}
"""Selection rules as a reader knows them, the commonest first."""


def rule_name(findings: Findings, rule: str) -> str:
    """A selection rule as a reader knows it, with the score that the verdict is on."""
    return in_terms_of(findings.verdict.accuracy_name, RULES.get(rule, rule))


REGIME_MEANINGS = {
    "over-memorized": "From there on, questions like the training ones are answered about as well, but the model "
    "recites its training solutions: correct solutions in other words become unlikely to it.",
    "over-fitted": "Later on, fewer answers are right and correct solutions become less likely.",
    "healthy": "Answers are as often right as anywhere in the run, and correct solutions are as likely to the model.",
    "healthy-memorizing": "Answers are as often right as anywhere in the run, but training rows are known by heart.",
    "risen-not-memorized": "Answers are about as often right, and correct solutions become less likely to the model, "
    "though it does not recite its training rows.",
    "still-learning": "Correct solutions become less likely to the model, but answers are still getting better.",
    "under-trained": "Answers were still getting better when training ended.",
    "undecided": "There are too few examples to tell what training did; the numbers below say how far they reach.",
}
"""What a run's regime means, for readers new to the terms."""

MEANING_IN_A_LOG = (
    "From there on {} is about as high, but the loss has risen: correct solutions have become less likely to the "
    "model. Only the log was read, so whether it recites its training rows is not known."
)
"""What over-memorized means where no example was seen."""


def answer(findings: Findings) -> Section:
    """Headline, the checkpoint to ship, what the other choices cost, onset and severity."""
    verdict = findings.verdict
    shipped = verdict.recommended if verdict.shipped else None
    best = shipped or verdict.best
    costs = costs_at(verdict)
    others = [c for c in verdict.choices if best and c.checkpoint and c.checkpoint != best.checkpoint]
    body = render(
        "answer.html.j2",
        verdict=verdict,
        headline=prose(verdict.headline),
        shipped=shipped,
        best=best,
        best_checkpoint=findings.checkpoint(best.checkpoint) if best else None,
        best_regime=_regime_of(findings, best.checkpoint) if best else "",
        others=_by_checkpoint(others),
        agreed=bool(verdict.choices) and not others,
        where=findings.confirmed_on,
        about=about(findings),
        meaning=_meaning(verdict) if shipped else "",
        gain=negated,
        costs=costs,
        others_tested=others_tested(verdict),
        is_noise=is_within_noise,
        has_noise=any(is_within_noise(c.regret) for c in others),
        flip=findings.flip,
        excerpt=excerpt,
        links=_links(findings),
        is_long=sum(map(len, costs.values())) > 2,
        rule_name=partial(rule_name, findings),
        score=verdict.accuracy_name,
        onset=_onset(findings),
        excess=verdict.severity.excess if verdict.severity else None,
        shares=_shares(verdict.severity),
    )
    return Section(verdict.headline, body)


def _meaning(verdict: Verdict) -> str:
    regime = "over-memorized" if verdict.onset else verdict.regime
    if verdict.evidence == "observations":
        return REGIME_MEANINGS.get(regime, "")
    return MEANING_IN_A_LOG.format(verdict.accuracy_name) if regime == "over-memorized" else ""


def excerpt(text: str, most: int) -> str:
    """A completion's beginning and its end, where its answer is.

    >>> excerpt("Our first count is 33. Then 5 go, and so on. #### 14", 36)
    'Our first count is 33. … #### 14'
    """
    if len(text) <= most:
        return text
    end = " ".join(text.split()[-2:])[-most // 2 :]
    return f"{text[: most - len(end) - 3].rpartition(' ')[0]} … {end}"


def about(findings: Findings) -> list[str]:
    """Which model, on what data, with how many examples, when."""
    data = findings.plan.get("data") or {}
    splits = findings.plan.get("splits") or {}
    sizes = [
        f"{splits[name]['n']:,} {words}"
        for name, words in (("val", "validation"), ("test", "test"))
        if isinstance(splits.get(name), Mapping)
    ]
    base = findings.plan.get("base") or findings.recipe.get("model")
    source = data.get("source")
    facts = [
        f"model: {base}" if base else "",
        f"data: {source}" if source else "",
        f"{' + '.join(sizes)} examples" if sizes else "",
        findings.date,
    ]
    return [fact for fact in facts if fact]


def costs_at(verdict: Verdict) -> dict[str, list[dict[str, str | int]]]:
    """Checkpoint -> the consequences that are confirmed there, those for privacy last and marked."""
    harms: dict[str, list[dict[str, str | int]]] = {}
    for cost in (*verdict.costs, *verdict.privacy):
        if cost.confirmed:
            harms.setdefault(cost.checkpoint, []).append(harm(cost) | {"privacy": cost in verdict.privacy})
    for at_one in harms.values():  # a sentence is written once, what else it is true of by name
        at_one[:] = [c | {"again": c["before"] in [d["before"] for d in at_one[:i]]} for i, c in enumerate(at_one)]
    return harms


def others_tested(verdict: Verdict) -> str:
    """How many other consequences were tested, and with what result; empty if there is none."""
    states = Counter(c.state for c in (*verdict.costs, *verdict.privacy) if not c.confirmed)
    return ", ".join(f"{states[state]} {words}" for state, words in STATES.items() if states[state])


def harm(cost: Consequence) -> dict[str, str | int]:
    """A confirmed consequence as a sentence around its size."""
    unit = "points" if cost.is_share else "number"
    before, _, after = cost.sentence.partition("{}")
    size = value_text(cost.difference, unit).removeprefix("+")
    interval = interval_text(cost.difference, unit).replace("+", "")
    return {
        "name": cost.name,
        "before": before,
        "size": size,
        "after": after,
        "interval": interval,
        "n": cost.difference.n,
    }


def _links(findings: Findings) -> dict[str, str]:
    """Where the explorer shows the question that went wrong, and all that did."""
    flip = findings.flip
    if flip is None or not findings.observed:
        return {}
    view = {"from": flip.good, "to": flip.bad, "change": "lost", "split": flip.split}
    example = view | {"example": f"{flip.split}/{flip.id}"}
    return {"example": f"#examples?{urlencode(example)}", "all": f"#examples?{urlencode(view)}"}


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
