"""The verdict on a run that was not audited, from its trainer's log."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from overmem import store
from overmem.diagnose.options import Diagnose, options_of
from overmem.records import Verdict
from overmem.store.logs import LogCurves, read_log
from overmem.verdict.assess import Assessment, assess
from overmem.verdict.evidence import Evidence, LoggedCurve
from overmem.verdict.logged_quantities import ASSUMED_ACCURACY, ENOUGH
from overmem.verdict.turning_point import turning_point
from overmem.wording.headline import with_divergence
from overmem.wording.logged import (
    NOT_NLL,
    NOTHING_TO_JUDGE,
    loss_only_headline,
    other_set_sentence,
    sample_size_sentence,
    trainers_choice_sentence,
    turning_sentences,
    unchanged_sentence,
)
from overmem.wording.scores import in_terms_of
from overmem.wording.verdict import worded


def from_log(run: store.Run, config: Diagnose) -> Verdict:
    """The verdict on the main evaluation set, with a sentence on each of the others.

    Raises:
        BadRequest: nothing that was logged there can be judged.
    """
    log = Path(config.run) if Path(config.run).is_file() else run.root
    logged = read_log(
        log,
        nll=config.nll_metric,
        accuracy=config.accuracy_metric,
        lower_is_better=config.lower_is_better,
        run=config.log_run,
        eval_set=config.eval_set,
    )
    assessment = _assessed(run, logged, config)
    more, instead = list[str](), ""
    if not np.isfinite(logged.accuracy).any():
        turn = turning_point(logged.checkpoints, logged.nll)
        more = list(turning_sentences(turn, is_nll=logged.is_nll)) if np.isfinite(logged.nll).any() else []
        headline = loss_only_headline(turn) if more else NOTHING_TO_JUDGE
        instead = with_divergence(headline, logged.diverged)
    for other in logged.others:
        judged = _assessed(run, other, replace(config, eval_rows=None))
        if judged.trained:
            turn = turning_point(other.checkpoints, other.nll)
            score = in_terms_of(other.judged_as or "accuracy", "accuracy")
            more.append(other_set_sentence(other.evaluation_set or "eval", judged.trained[-1], turn, score=score))
    verdict = worded(
        assessment,
        more=more,
        warnings=_warnings(logged, run, assessment, config),
        options=options_of(config) | ({"log": log.name} if log.is_file() else {}),
        instead=instead,
        accuracy_name=logged.judged_as or "accuracy",
    )
    return verdict if logged.is_nll or not instead else _without_perplexity(verdict)


def _without_perplexity(verdict: Verdict) -> Verdict:
    """The verdict on a log whose only loss is not plain nll: nothing is said of perplexity."""
    sentences = list(verdict.sentences)
    for v in verdict.checkpoints:
        sentences = [s.replace(v.reason, NOT_NLL) for s in sentences]
    checkpoints = tuple(replace(v, reason=NOT_NLL) for v in verdict.checkpoints)
    return replace(verdict, checkpoints=checkpoints, sentences=tuple(sentences))


def _assessed(run: store.Run, logged: LogCurves, config: Diagnose) -> Assessment:
    n = config.eval_rows if config.eval_rows is not None else logged.accuracy_n
    inferred = config.eval_rows is None and logged.n_source == "digits"
    curve = LoggedCurve(logged.checkpoints, logged.nll, logged.accuracy, n, inferred, logged.diverged)
    evidence = Evidence(
        val=curve,
        on_disk=_on_disk(run, logged),
        trainers_choice=logged.best_checkpoint,
        same_distribution=config.same_distribution,
        chance=config.chance or 0.0,
    )
    return assess(evidence, config.limits, seed=config.seed)


def _on_disk(run: store.Run, logged: LogCurves) -> set[str] | None:
    return {c.name for c in logged.checkpoints if (run.root / c.name).is_dir()} or None


def _warnings(logged: LogCurves, run: store.Run, assessment: Assessment, config: Diagnose) -> tuple[str, ...]:
    """How the log was read, and what is missing where only a curve is known."""
    has_accuracy = bool(np.isfinite(logged.accuracy).any())
    best = next((v for v in assessment.verdicts if v.checkpoint.name == logged.best_checkpoint), None)
    is_priced = any(c.rule == "trainer" for c in assessment.choices)
    score = in_terms_of(logged.judged_as or "accuracy", "accuracy")
    is_blind = config.eval_rows is None and logged.accuracy_n is None and np.isfinite(logged.accuracy).sum() < ENOUGH
    few = (
        f"Too few evaluations to see the noise of {score}: a standard error of {100 * ASSUMED_ACCURACY:g} points is "
        "assumed. Give --eval-rows, the number of examples that were evaluated."
    )
    warnings = [
        unchanged_sentence(len(logged.checkpoints), logged.nll, logged.accuracy),
        few if has_accuracy and is_blind else "",
        *logged.warnings,
        sample_size_sentence(logged.metric, logged.accuracy_n, logged.n_source, config.eval_rows),
        "" if is_priced else trainers_choice_sentence(best, logged.best_checkpoint, score=score),
        f"Judged from {logged.source.name} alone: no example was seen, so noise is estimated from the curve's scatter, "
        "no cost is measured, and nothing is confirmed on other examples. `overmem audit` sees more.",
    ]
    if not has_accuracy and np.isfinite(logged.nll).any():
        warnings.append(
            "No answer accuracy was logged, and perplexity alone cannot tell over-memorization from over-fitting, so "
            "no checkpoint is recommended, only a provisional one named."
        )
    if _on_disk(run, logged) is None:
        warnings.append("There is no checkpoint folder next to the log; steps are named as if there were one.")
    return tuple(w for w in warnings if w)
