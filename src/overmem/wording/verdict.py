"""An assessment put into words: the one place where a `Verdict` is made."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from overmem.records import RULE, Verdict
from overmem.verdict.assess import Assessment
from overmem.wording.headline import headline
from overmem.wording.reasons import reason
from overmem.wording.scores import choice_in_terms_of, in_terms_of
from overmem.wording.sentences import verdict_sentences


def worded(
    assessment: Assessment,
    *,
    more: Sequence[str] = (),
    warnings: Sequence[str] = (),
    options: Mapping[str, Any],
    instead: str = "",
    accuracy_name: str = "accuracy",
) -> Verdict:
    """The verdict on a run.

    Args:
        assessment: the judgement, in numbers.
        more: sentences that follow those of the verdict.
        warnings: what the reader must know before believing the rest.
        options: everything that `diagnose` was called with.
        accuracy_name: the score that was judged, if it is not an accuracy.
        instead: a headline in place of the usual one, where the evidence is less than a verdict needs.
    """
    verdicts = tuple(
        replace(v, reason=in_terms_of(accuracy_name, reason(v, assessment.limits))) for v in assessment.verdicts
    )
    best = None if assessment.best is None else choice_in_terms_of(accuracy_name, assessment.best)
    others = tuple(choice_in_terms_of(accuracy_name, choice) for choice in assessment.choices)
    assessment = replace(assessment, verdicts=verdicts, best=best, choices=others)
    sentences = (in_terms_of(accuracy_name, sentence) for sentence in verdict_sentences(assessment))
    return Verdict(
        regime=assessment.regime,
        headline=instead or in_terms_of(accuracy_name, headline(assessment)),
        sentences=(*sentences, *more),
        checkpoints=verdicts,
        onset=assessment.onset,
        severity=assessment.severity,
        recommended=assessment.recommended,
        choices=assessment.choices,
        best=assessment.best,
        costs=assessment.costs,
        privacy=assessment.privacy,
        harm_confirmed=assessment.harm_confirmed,
        warnings=tuple(warnings),
        evidence="curves only" if assessment.from_curves else "observations",
        accuracy_name=accuracy_name,
        limits=assessment.limits,
        knobs=options,
        rule=RULE,
    )
