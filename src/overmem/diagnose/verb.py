"""The verdict on a run, from its observations or, where it has none, from the curves that its trainer logged."""

from dataclasses import replace
from pathlib import Path

from overmem import store
from overmem.diagnose.evidence import audited
from overmem.diagnose.from_log import from_log
from overmem.diagnose.options import Diagnose, options_of
from overmem.diagnose.prompt_check import PromptCheck, prompt_check
from overmem.errors import BadRequest
from overmem.records import Curves, Verdict
from overmem.verdict.anytime import level
from overmem.verdict.assess import assess
from overmem.wording.caveats import caveats
from overmem.wording.forecast import forecast_sentence
from overmem.wording.verdict import worded

DRAWS = "Accuracy is the mean over a question's draws; costs are of greedy completions unless named otherwise."


def diagnose(config: Diagnose) -> Verdict:
    """The verdict on a run: regimes chosen on val, every figure of the choice confirmed on test.

    Raises:
        BadRequest: no such folder, nothing to judge in it, or a limit that makes no sense.
    """
    _check(config)
    run = store.open_run(config.run, config.out)
    is_audited = run.plan_path.is_file() and not Path(config.run).is_file()
    verdict = _from_observations(run, config) if is_audited else from_log(run, config)
    if config.save or (config.save is None and (config.out is not None or run.home.is_dir())):
        store.write_verdict(run, verdict)
    return verdict


def _check(config: Diagnose) -> None:
    if config.chance is not None and not 0 <= config.chance < 1:
        raise BadRequest(f"chance is {config.chance:g}; allowed: a number from 0 to below 1")
    for name, low, high in (("d_nll", 0.0, 10.0), ("margin", 0.0, 1.0), ("alpha", 0.0, 0.5)):
        value = getattr(config, name)
        if value is not None and not low < value < high:
            raise BadRequest(f"{name} is {value:g}; allowed: a number between {low:g} and {high:g}, ends excluded")


def _from_observations(run: store.Run, config: Diagnose) -> Verdict:
    evidence, context = audited(run, config)
    limits = config.limits
    if context.stopping is not None:  # the run was looked at before, so one look's level is less than all of theirs
        limits = replace(limits, alpha=level(context.stopping.asked, context.stopping.planned, limits.alpha))
    assessment = assess(evidence, limits, seed=config.seed)
    check = prompt_check(run, evidence.val, context.selected_on) if isinstance(evidence.val, Curves) else PromptCheck()
    more = [] if assessment.forecast is None else [forecast_sentence(assessment.forecast)]
    if config.accuracy == "draws":
        more.append(DRAWS)
    more += check.sentences
    warnings = (*check.warnings, *caveats(assessment, context))
    return worded(assessment, more=more, warnings=warnings, options=options_of(config))
