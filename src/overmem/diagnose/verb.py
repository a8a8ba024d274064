"""The verdict on a run, from its observations or, where it has none, from the curves that its trainer logged."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np

from overmem import store
from overmem.errors import BadRequest
from overmem.probes.consequences import consequences
from overmem.records import CheckpointVerdict, Choice, Consequence, Curves, Estimate, Measurement, Verdict
from overmem.store.logs import Logged, read_logged
from overmem.verdict import judge, onset, regimes, severity
from overmem.verdict.assess import Assessment
from overmem.verdict.forecast import forecast
from overmem.verdict.logged_quantities import ENOUGH, onset_of_curve, quantities_of_curve
from overmem.verdict.mismatch import mismatch
from overmem.verdict.selection import best_merge, choices, difference, logged_choices, promote
from overmem.wording.caveats import caveats
from overmem.wording.headline import headline
from overmem.wording.sentences import verdict_sentences

DRAWN = "Accuracy is the mean over a question's draws; costs are of greedy completions if not named otherwise."


@dataclass(frozen=True)
class Diagnose:
    """Which run to judge, and where the limits lie."""

    run: str
    """Run directory that was audited; or a folder that has only curves (trainer_state.json, trainer_log.jsonl, a CSV,
    TensorBoard event files)."""
    d_nll: float = 0.05
    """Perplexity is costly when the nll lies more than this above its minimum, in nats per token."""
    margin: float = 0.03
    """Accuracy is kept when it lies no more than this below the best, as a fraction."""
    accuracy: Literal["greedy", "draws"] = "greedy"
    """What accuracy is: that of greedy completions, or the mean over a question's draws, which needs fewer questions
    to decide; it takes an audit with --draws."""
    alpha: float = 0.05
    """Error rate of each claim; Holm-corrected over checkpoints and over costs."""
    same_distribution: Literal["check", "yes", "no"] = "check"
    """Whether val comes from the distribution of the training rows: checked at the base model, or declared."""
    eval_rows: int | None = None
    """Curves only: how many examples the logged accuracy was measured on, for its interval."""
    nll_metric: str = ""
    """Curves only: the name under which the evaluation loss was logged, where it is none of the usual ones."""
    accuracy_metric: str = ""
    """Curves only: the name under which the accuracy of answers was logged (eval_gsm8k_pass@1, ...), likewise."""
    seed: int = 0
    """Fixes the folds and the bootstrap."""
    out: str | None = None
    """Where overmem's files are; by default RUN/overmem."""


def diagnose(config: Diagnose) -> Verdict:
    """The verdict on a run: regimes chosen on val, every figure of the choice confirmed on test.

    Raises:
        BadRequest: no such folder, nothing to judge in it, or a limit that makes no sense.
    """
    _check(config)
    run = store.open_run(config.run, config.out)
    return _from_observations(run, config) if run.plan_path.is_file() else _from_curves(run, config)


def _from_curves(run: store.Run, config: Diagnose) -> Verdict:
    """The same words from the trainer's own log, marked as such."""
    logged = read_logged(run.root, nll=config.nll_metric, accuracy=config.accuracy_metric)
    q = quantities_of_curve(logged.checkpoints, logged.nll, logged.accuracy, config.eval_rows)
    verdicts = judge(q, logged.checkpoints, d_nll=config.d_nll, margin=config.margin, alpha=config.alpha)
    differs, said = _declared(config)
    begun = {}
    if differs:
        verdicts = _refused(verdicts)
    else:
        begun = onset_of_curve(
            logged.checkpoints, verdicts, q, d_nll=config.d_nll, margin=config.margin, seed=config.seed
        )
    on_disk = {c.name for c in logged.checkpoints if (run.root / c.name).is_dir()} or None
    error = float(np.nanmax(q.gap_stderr, initial=0.0)) / 2**0.5
    recommended, others = logged_choices(
        logged.checkpoints,
        logged.nll,
        logged.accuracy,
        error,
        d_nll=config.d_nll,
        on_disk=on_disk,
        healthy={v.checkpoint.name for v in verdicts if v.regime == "healthy"},
    )
    late = _last_over_memorized(verdicts)
    grave = {"excess": next(v.excess for v in verdicts if v.checkpoint.name == late)} if late else {}
    known = Assessment(
        verdicts,
        begun,
        grave,
        recommended,
        others,
        late=late,
        minimum=_minimum(verdicts),
        mismatch=said if differs else "",
    )
    return _verdict(
        known, config, (), (*logged.warnings, *_reduced(logged, config, on_disk is not None)), evidence="curves only"
    )


def _reduced(logged: Logged, config: Diagnose, on_disk: bool) -> tuple[str, ...]:
    said = [
        f"Judged from {logged.source.name} alone: no example was seen, so noise is read off the scatter of the curve, "
        "no cost is measured, and nothing is confirmed on other examples. `overmem audit` sees more."
    ]
    if not np.isfinite(logged.accuracy).any():
        said.append(
            "No answer accuracy was logged, and perplexity alone cannot tell over-memorization from over-fitting, so "
            "no checkpoint is recommended."
        )
    elif config.eval_rows is None and len(logged.checkpoints) < ENOUGH:
        said.append("Too few evaluations to see their noise; give --eval-rows, the examples behind the accuracy.")
    if not on_disk:
        said.append("No checkpoint folder lies beside the log; steps are named as if there were one.")
    return tuple(said)


def _check(config: Diagnose) -> None:
    for name, low, high in (("d_nll", 0.0, 10.0), ("margin", 0.0, 1.0), ("alpha", 0.0, 0.5)):
        value = getattr(config, name)
        if not low < value < high:
            raise BadRequest(f"{name} is {value:g}; allowed: a number between {low:g} and {high:g}, ends excluded")


def _from_observations(run: store.Run, config: Diagnose) -> Verdict:
    limits = {"d_nll": config.d_nll, "margin": config.margin, "alpha": config.alpha}
    plan = store.read_plan(run)
    splits = list(plan["splits"])
    val_split = "val" if "val" in splits else "test"
    draws = config.accuracy == "draws"
    val = store.read_curves(run, val_split, draws=draws)
    if draws and not np.isfinite(val.correct).any():
        raise BadRequest(
            f"--accuracy draws, but no completion of {val_split} was drawn beside the greedy one; allowed: greedy, or "
            "audit with --draws 8 first"
        )
    test = store.read_curves(run, "test", draws=draws) if "test" in splits and val_split == "val" else None
    train = store.read_curves(run, "train") if "train" in splits else None
    verdicts = regimes(val, **limits, seed=config.seed)
    differs, said = _mismatch(config, train, val)
    on_disk = {c.name for c in val.checkpoints if (run.root / c.name).is_dir()}
    recommended, others = choices(val, test, verdicts, d_nll=config.d_nll, on_disk=on_disk)
    begun = {}
    if differs:
        verdicts = _refused(verdicts)
    else:
        begun = onset(val, verdicts, d_nll=config.d_nll, margin=config.margin, seed=config.seed)
    late = _last_over_memorized(verdicts)
    beside = _beside(verdicts, recommended, others)
    harm = _costs(run, beside, late, config.alpha)
    if recommended is not None and beside and beside != recommended.checkpoint and any(c.confirmed for c in harm):
        recommended, others = promote(val, test, "healthy", beside, recommended, others)
    if recommended is not None:
        recommended, others = _with_merges(run, val_split, test is not None, draws, recommended, others)
    minimum = _minimum(verdicts)
    confirmed_on = test if test is not None else val
    grave = severity(confirmed_on, late, minimum, seed=config.seed) if late and minimum else {}
    known = Assessment(
        verdicts,
        begun,
        grave,
        recommended,
        others,
        costs=harm,
        beside=beside,
        late=late,
        minimum=minimum,
        tested=test is not None,
        over_base=_over_base(confirmed_on, recommended),
        mismatch=said if differs else "",
    )
    coming = () if late else (forecast(val, d_nll=config.d_nll, seed=config.seed).sentence,)
    if draws:
        coming = (*coming, DRAWN)
    warned = caveats(
        known,
        d_nll=config.d_nll,
        unsure="" if differs else said,
        selected_on=val_split,
        confirmed=test is not None,
        gone=[c.name for c in val.checkpoints if c.step > 0 and c.name not in on_disk],
        cut=plan.get("cut", ()),
        cut_off=_cut_off(run, val_split),
        limit=plan.get("decoding", {}).get("max_new_tokens"),
    )
    return _verdict(known, config, coming, warned)


def _verdict(
    known: Assessment, config: Diagnose, more: Sequence[str], warned: tuple[str, ...], *, evidence: str = "observations"
) -> Verdict:
    return Verdict(
        regime=known.regime,
        headline=headline(known),
        sentences=(*verdict_sentences(known), *more),
        checkpoints=known.verdicts,
        onset=known.onset,
        severity=known.severity,
        recommended=known.recommended,
        choices=known.choices,
        costs=known.costs,
        warnings=warned,
        evidence=evidence,
        knobs={k: v for k, v in asdict(config).items() if k not in ("run", "out")},
    )


def _refused(verdicts: Sequence[CheckpointVerdict]) -> tuple[CheckpointVerdict, ...]:
    """No checkpoint is called over-memorized where val does not come from the distribution of the training rows."""
    said = "That is not called over-memorization, because val and train are not one distribution."
    return tuple(
        replace(v, regime="undecided", reason=f"{v.reason} {said}") if v.regime == "over-memorized" else v
        for v in verdicts
    )


def _declared(config: Diagnose) -> tuple[bool, str]:
    if config.same_distribution == "no":
        return True, (
            "You declared that val does not come from the distribution of the training rows, so a rise of its "
            "perplexity is not called memorization."
        )
    return False, ""


def _mismatch(config: Diagnose, train: Curves | None, val: Curves) -> tuple[bool, str]:
    if config.same_distribution != "check":
        return _declared(config)
    differs, said = mismatch(train, val, d_nll=config.d_nll, alpha=config.alpha)
    if differs:
        said += " A rise of perplexity can then come from that difference, so it is not called memorization."
    return differs, said


def _with_merges(
    run: store.Run, split: str, tested: bool, draws: bool, recommended: Choice, others: tuple[Choice, ...]
) -> tuple[Choice, tuple[Choice, ...]]:
    """The merge that was audited and is better than the recommended checkpoint, if there is one."""
    if not any(c.merged_from and (run.root / c.name).is_dir() for c in store.read_checkpoints(run)):
        return recommended, others
    val = store.read_curves(run, split, merged=True, draws=draws)
    test = store.read_curves(run, "test", merged=True, draws=draws) if tested else None
    return best_merge(val, test, recommended, others)


def _last_over_memorized(verdicts: Sequence[CheckpointVerdict]) -> str | None:
    return next((v.checkpoint.name for v in reversed(verdicts) if v.regime == "over-memorized"), None)


def _minimum(verdicts: Sequence[CheckpointVerdict]) -> str | None:
    known = [(v.nll.value, v.checkpoint.name) for v in verdicts if v.nll.value is not None]
    return min(known)[1] if known else None


def _beside(verdicts: Sequence[CheckpointVerdict], recommended: Choice | None, others: Sequence[Choice]) -> str | None:
    """What costs are measured against: the recommended checkpoint, or, if that is over-memorized, the best healthy."""
    if recommended is None:
        return None
    regime = {v.checkpoint.name: v.regime for v in verdicts}
    healthy = next((c.checkpoint for c in others if c.rule == "healthy"), None)
    over = regime.get(recommended.checkpoint or "") == "over-memorized"
    return healthy if over and healthy else recommended.checkpoint


def _over_base(curves: Curves, recommended: Choice | None) -> Estimate | None:
    """Accuracy of the recommended checkpoint minus that of the base model, on the same examples."""
    steps = {c.name: i for i, c in enumerate(curves.checkpoints)}
    base = next((i for i, c in enumerate(curves.checkpoints) if c.step == 0), None)
    held = None if recommended is None else steps.get(recommended.checkpoint or "")
    return None if base is None or held is None else difference(curves, held, base)


def _cut_off(run: store.Run, split: str) -> list[Measurement]:
    """Shares of answers that ran into the length limit; none where only a trainer's callback measured."""
    rows = store.read_measurements(run) if run.measurements_path.is_file() else []
    return [m for m in rows if m.metric == "cut_off" and m.split == split]


def _costs(run: store.Run, beside: str | None, late: str | None, alpha: float) -> tuple[Consequence, ...]:
    if beside is None or late is None or beside == late:
        return ()
    named = {c.name: c for c in store.read_checkpoints(run)}
    base = next((c for c in named.values() if c.step == 0), None)
    good, bad = (store.read_snapshot(run, named[name]) for name in (beside, late))
    return consequences(good, bad, base=None if base is None else store.read_snapshot(run, base), alpha=alpha)
