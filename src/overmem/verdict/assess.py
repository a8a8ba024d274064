"""The judgement of a run: one function from evidence to assessment, for audits, logged curves and the callback."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from overmem.records import CheckpointVerdict, Choice, Consequence, Curves, Estimate, Limits, Onset, Severity
from overmem.verdict.chance import without_chance
from overmem.verdict.dips import Dip
from overmem.verdict.evidence import Evidence, LoggedCurve
from overmem.verdict.facts import Facts, facts, facts_of_curve
from overmem.verdict.forecast import Forecast, forecast
from overmem.verdict.logged_last import with_last
from overmem.verdict.logged_quantities import onset_of_curve, quantities_of_curve
from overmem.verdict.merges import best_merge
from overmem.verdict.mismatch import Mismatch, mismatch, with_blind
from overmem.verdict.onset import onset
from overmem.verdict.quantities import Quantities, quantities
from overmem.verdict.rule import judge
from overmem.verdict.selection import choices, logged_choices, promote
from overmem.verdict.severity import logged_severity, severity
from overmem.verdict.worth import is_worth_shipping, over_base

DEFAULT = Limits()
NO_MISMATCH = Mismatch(False)


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """Everything that a verdict is put into words from."""

    verdicts: tuple[CheckpointVerdict, ...]
    limits: Limits = DEFAULT
    onset: Onset | None = None
    severity: Severity | None = None
    best: Choice | None = None
    """The best trained checkpoint or merge."""
    is_worth_shipping: bool = True
    """Whether `best` is more accurate than the base model and than guessing, as far as these were measured."""
    choices: tuple[Choice, ...] = ()
    costs: tuple[Consequence, ...] = ()
    privacy: tuple[Consequence, ...] = ()
    """What training rows give away more than at the reference."""
    cost_reference: str | None = None
    """The checkpoint that the costs are measured against."""
    last_over_memorized: str | None = None
    """The checkpoint of the severity and the costs."""
    over_base: Estimate | None = None
    """Accuracy of the best checkpoint minus that of the base model, paired; None where one was not measured."""
    end_on_test: CheckpointVerdict | None = None
    """The verdict on the last trained checkpoint by test alone, which had no part in choices; None without test."""
    dips: tuple[Dip, ...] = ()
    """Falls of accuracy that came back, and one at the end of the run that may."""
    mismatch: Mismatch = NO_MISMATCH
    forecast: Forecast | None = None
    """When perplexity will be costly; None where a checkpoint is over-memorized, or where only a curve is known."""
    is_confirmed: bool = False
    """Severity and choices were confirmed on test."""
    from_curves: bool = False
    """Only the trainer's log is known: reduced evidence."""
    diverged: str | None = None
    """Checkpoint from which on no usable loss was logged; None where the run did not diverge."""

    @cached_property
    def trained(self) -> tuple[CheckpointVerdict, ...]:
        """The trained checkpoints in time order: neither the base nor a merge."""
        return tuple(v for v in self.verdicts if v.checkpoint.step > 0 and not v.checkpoint.merged_from)

    @cached_property
    def regimes(self) -> Mapping[str, str]:
        """Checkpoint -> its regime."""
        return {v.checkpoint.name: v.regime for v in self.verdicts}

    @property
    def recommended(self) -> Choice | None:
        """The checkpoint to ship; None where none is."""
        return self.best if self.is_worth_shipping else None

    @property
    def best_of_run(self) -> str:
        """The best checkpoint, worth shipping or not; empty where there is none."""
        return (self.best.checkpoint or "") if self.best is not None else ""

    @property
    def healthy(self) -> Choice | None:
        """The most accurate healthy checkpoint, where another one is recommended."""
        return next((c for c in self.choices if c.rule == "healthy"), None)

    @property
    def regime(self) -> str:
        """Of the run: that of its last trained checkpoint."""
        return self.trained[-1].regime if self.trained else "undecided"

    @property
    def harm_confirmed(self) -> bool:
        """Whether at least one consequence of over-memorization is confirmed."""
        return any(c.confirmed for c in self.costs)


def assess(evidence: Evidence, limits: Limits = DEFAULT, *, seed: int = 0) -> Assessment:
    """The regime of every checkpoint, onset and severity, what it costs, and which checkpoint to ship.

    Checkpoints are judged and chosen on `evidence.val`; severity, costs and choices are measured on `evidence.test`.
    """
    val = evidence.val
    q = _quantities(val, seed)
    shift = _mismatch(evidence, limits)
    tested = _facts(evidence, limits, unlike=bool(shift.differs))
    requested, limits = limits, _resolved(limits, tested, q, val)
    verdicts = without_chance(judge(tested, q, val.checkpoints, limits))
    recommended, others = _chosen(evidence, verdicts, q, limits)
    others = with_last(others, recommended, evidence)
    last = _last_over_memorized(verdicts)
    reference = _cost_reference(verdicts, recommended, others)
    costs: tuple[Consequence, ...] = ()
    privacy: tuple[Consequence, ...] = ()
    if evidence.consequences is not None and reference and last and reference != last:
        luck = 0.0 if tested is None else tested.accuracy.luck.deviation
        found = evidence.consequences(reference, last, luck)
        costs, privacy = (tuple(c for c in found if c.is_privacy == of_privacy) for of_privacy in (False, True))
    if isinstance(val, Curves) and recommended is not None:
        if reference and reference != recommended.checkpoint and any(c.confirmed for c in (*costs, *privacy)):
            recommended, others = promote(val, evidence.test, "healthy", reference, recommended, others)
        if evidence.merged_val is not None:
            recommended, others = best_merge(
                evidence.merged_val,
                evidence.merged_test,
                recommended,
                others,
                evidence.on_disk,
                limits,
                evidence.searched,
                evidence.confirmed,
            )
    gain = over_base(evidence, recommended, q)
    return Assessment(
        verdicts=verdicts,
        limits=limits,
        onset=None if shift.differs else _onset(val, verdicts, q, limits, seed),
        severity=_severity(evidence, verdicts, last),
        best=recommended,
        is_worth_shipping=is_worth_shipping(verdicts, recommended, gain, evidence.chance),
        choices=others,
        costs=costs,
        privacy=privacy,
        cost_reference=reference,
        last_over_memorized=last,
        over_base=gain,
        end_on_test=_end_on_test(evidence, requested, seed, unlike=bool(shift.differs)),
        dips=_dips(tested, [c.name for c in val.checkpoints]),
        mismatch=shift,
        forecast=forecast(val, d_nll=limits.absolute, seed=seed) if isinstance(val, Curves) and last is None else None,
        is_confirmed=evidence.test is not None,
        from_curves=isinstance(val, LoggedCurve),
        diverged=val.diverged if isinstance(val, LoggedCurve) else None,
    )


def _end_on_test(evidence: Evidence, limits: Limits, seed: int, *, unlike: bool) -> CheckpointVerdict | None:
    test = evidence.test
    if test is None:
        return None
    on_test = replace(evidence, val=test)
    tested, q = _facts(on_test, limits, unlike=unlike), _quantities(test, seed)
    verdicts = without_chance(judge(tested, q, test.checkpoints, _resolved(limits, tested, q, test)))
    return next((v for v in reversed(verdicts) if v.checkpoint.step > 0 and not v.checkpoint.merged_from), None)


def _dips(tested: Facts | None, names: Sequence[str]) -> tuple[Dip, ...]:
    return () if tested is None else tuple(dip.named([names[row] for row in tested.rows]) for dip in tested.dips)


def _quantities(val: Curves | LoggedCurve, seed: int) -> Quantities:
    if isinstance(val, Curves):
        return quantities(val, seed=seed)
    q = quantities_of_curve(val.checkpoints, val.nll, val.accuracy, val.n, n_is_inferred=val.n_is_inferred)
    if val.diverged is None:
        return q
    names = [c.name for c in val.checkpoints]
    broken = range(names.index(val.diverged), len(names))
    notes = ["the run had diverged" if i in broken else note for i, note in enumerate(q.notes)]
    return replace(q, notes=tuple(notes))


def _facts(evidence: Evidence, limits: Limits, *, unlike: bool) -> Facts | None:
    val = evidence.val
    if isinstance(val, Curves):
        return facts(
            val,
            evidence.train,
            margin=limits.margin,
            rise=limits.rise,
            nats=limits.nats,
            d_nll=limits.d_nll,
            chance=evidence.chance,
            unlike=unlike,
            alpha=limits.alpha,
        )
    return facts_of_curve(
        val.nll,
        val.accuracy,
        [c.step for c in val.checkpoints],
        val.n,
        margin=limits.margin,
        rise=limits.rise,
        d_nll=limits.d_nll,
        chance=evidence.chance,
        unlike=unlike,
        alpha=limits.alpha,
    )


def _resolved(limits: Limits, tested: Facts | None, q: Quantities, val: Curves | LoggedCurve) -> Limits:
    """The limits in the units of this run."""
    lowest = float(np.nanmin(q.nll)) if np.isfinite(q.nll).any() else 0.0
    tokens = float(val.token_counts.mean()) if isinstance(val, Curves) and len(val.token_counts) else None
    return limits.resolved(lowest, tokens, limits.margin if tested is None else tested.accuracy.margin)


def _onset(
    val: Curves | LoggedCurve, verdicts: Sequence[CheckpointVerdict], q: Quantities, limits: Limits, seed: int
) -> Onset | None:
    if isinstance(val, Curves):
        return onset(val, verdicts, limits, seed=seed)
    return onset_of_curve(val.checkpoints, verdicts, q, limits, seed=seed)


def _chosen(
    evidence: Evidence, verdicts: Sequence[CheckpointVerdict], q: Quantities, limits: Limits
) -> tuple[Choice | None, tuple[Choice, ...]]:
    """The recommended trained checkpoint, and what every other rule picks."""
    val = evidence.val
    if isinstance(val, Curves):
        return choices(
            val,
            evidence.test,
            verdicts,
            limits,
            on_disk=evidence.on_disk,
            trainers_choice=evidence.trainers_choice,
        )
    error = float(np.nanmax(q.gap_stderr, initial=0.0)) / 2**0.5
    healthy = {v.checkpoint.name for v in verdicts if v.regime.startswith("healthy")}
    return logged_choices(
        val.checkpoints,
        val.nll,
        val.accuracy,
        error,
        limits,
        n=val.n or 0,
        on_disk=evidence.on_disk,
        healthy=healthy,
        trainers_choice=evidence.trainers_choice,
    )


def _mismatch(evidence: Evidence, limits: Limits) -> Mismatch:
    if evidence.same_distribution != "check":
        return Mismatch(evidence.same_distribution == "no")
    if isinstance(evidence.val, LoggedCurve):
        return NO_MISMATCH
    return with_blind(mismatch(evidence.train, evidence.val, limits), evidence.blind)


def _severity(evidence: Evidence, verdicts: Sequence[CheckpointVerdict], last: str | None) -> Severity | None:
    measured = [(v.nll.value, v.checkpoint.name) for v in verdicts if v.nll.value is not None]
    if last is None or not measured:
        return None
    minimum = min(measured)[1]
    if isinstance(evidence.val, Curves):
        return severity(evidence.test or evidence.val, last, minimum, evidence.shares)
    return logged_severity(verdicts, last, minimum)


def _last_over_memorized(verdicts: Sequence[CheckpointVerdict]) -> str | None:
    return next((v.checkpoint.name for v in reversed(verdicts) if v.regime == "over-memorized"), None)


def _cost_reference(
    verdicts: Sequence[CheckpointVerdict], recommended: Choice | None, others: Sequence[Choice]
) -> str | None:
    """What costs are measured against: the recommended checkpoint, or the best healthy one.

    The healthy one where the recommended checkpoint is over-memorized itself, or lies after one that is and has a
    costly perplexity too, so that it would be compared with its own past.
    """
    if recommended is None:
        return None
    steps = [v.checkpoint.step for v in verdicts if v.regime == "over-memorized"]
    late = {
        v.checkpoint.name
        for v in verdicts
        if v.regime == "over-memorized" or (steps and v.checkpoint.step > min(steps) and v.tests.costly)
    }
    healthy = next((c.checkpoint for c in others if c.rule == "healthy"), None)
    return healthy if healthy and recommended.checkpoint in late else recommended.checkpoint
