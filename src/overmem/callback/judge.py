"""The verdict so far, during training, by the rules of `overmem diagnose`."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from overmem import statistics
from overmem.callback.config import CallbackConfig
from overmem.grading.guessing import guessed_accuracy
from overmem.probes.mechanism import shares_of_excess
from overmem.records import CheckpointVerdict, Choice, Estimate, Limits, Snapshot
from overmem.store import curves_of
from overmem.verdict.assess import Assessment, assess
from overmem.verdict.evidence import Evidence
from overmem.wording.headline import ship_none
from overmem.wording.numbers import format_interval, format_n, parenthetical
from overmem.wording.sentences import onset_sentence


@dataclass(frozen=True)
class RunningVerdict:
    """The verdict so far."""

    warning: str
    """What has begun, in words; empty if nothing has."""
    stops: bool
    """Whether over-memorization has begun and the newest checkpoint is not the best one."""
    assessment: Assessment
    """The assessment that both follow from."""

    @property
    def recommended(self) -> Choice | None:
        """The checkpoint to ship; None if none is worth shipping."""
        return self.assessment.recommended

    @property
    def best(self) -> Choice | None:
        """The best checkpoint, worth shipping or not."""
        return self.assessment.best


def judge_run(
    snapshots: Sequence[Snapshot], config: CallbackConfig, on_disk: Collection[str] | None = None
) -> RunningVerdict:
    """The verdict on the measurements so far, in time order; only checkpoints in `on_disk` (None: all) are recommended.

    Judging at every checkpoint hardly raises the rate of false warnings: docs/results/callback.md.
    """
    with_train_scores = [s for s in snapshots if "train" in s.scores]
    evidence = Evidence(
        val=curves_of(snapshots, "val"),
        train=curves_of(with_train_scores, "train") if with_train_scores else None,
        on_disk=on_disk,
        chance=_chance(snapshots),
        shares=_shares(snapshots),
    )
    assessment = assess(evidence, Limits(d_nll=config.d_nll, margin=config.margin))
    if not config.answers:
        return RunningVerdict(
            "" if assessment.mismatch.differs else _costly_warning(assessment.verdicts), False, assessment
        )
    if assessment.onset is None:
        return RunningVerdict("", False, assessment)
    return _onset_warning(assessment)


def _chance(snapshots: Sequence[Snapshot]) -> float:
    """Accuracy of guessing on val."""
    examples = snapshots[-1].examples if snapshots else {}
    return guessed_accuracy(examples.get("val", ()), examples.get("train", ()))


def _shares(snapshots: Sequence[Snapshot]) -> Callable[[str, str], Mapping[str, Estimate]]:
    """The shares of the excess on val of one checkpoint over another."""
    scores = {s.checkpoint.name: s.scores["val"] for s in snapshots if "val" in s.scores}
    return lambda checkpoint, minimum: shares_of_excess(scores[checkpoint], scores[minimum], "val")


def _onset_warning(assessment: Assessment) -> RunningVerdict:
    """The verdict once over-memorization has begun."""
    newest, best = assessment.verdicts[-1].checkpoint, assessment.best_of_run
    assert assessment.onset is not None
    warning = f"{onset_sentence(assessment.onset)} Now at step {newest.step:,}"
    if best and not assessment.is_worth_shipping:
        warning += f". {ship_none(assessment)}"
    else:
        warning += f"; of all so far, {best} is the one to ship." if best else "."
    return RunningVerdict(warning, bool(best) and best != newest.name, assessment)


def too_few_questions(n: int, margin: float, alpha: float = 0.05) -> str:
    """A warning if `n` answers could never show that accuracy is kept, however well they agree; empty if they could."""
    if _can_be_shown(n, margin, alpha):
        return ""
    sufficient = next(m for m in range(n, 10**9, 10) if _can_be_shown(m, margin, alpha))
    return (
        f"{n} val questions can never show that accuracy is kept within {margin:g}, so no onset will be seen; "
        f"{sufficient} could: OvermemCallback(rows=), or a larger margin="
    )


def _can_be_shown(n: int, margin: float, alpha: float) -> bool:
    """Whether `n` answers that agree perfectly, over three pooled checkpoints, would show that accuracy is kept."""
    return statistics.noninferior(0.0, 0.0, margin, n, step=1 / 3) < alpha


def _costly_warning(verdicts: Sequence[CheckpointVerdict]) -> str:
    """For runs without answers: a warning if perplexity is costly at the newest checkpoint, else empty."""
    newest = verdicts[-1]
    excess = newest.excess
    if not newest.tests.costly or excess.value is None:
        return ""
    interval = parenthetical(format_interval(excess.low, excess.high), format_n(excess.n))
    return (
        f"At step {newest.checkpoint.step:,} the perplexity of val is costly: {excess.value:.3f} nats per token above "
        f"its minimum{interval}. Only answers can "
        "tell whether that is over-memorization or over-fitting: OvermemCallback(answers=True), or `overmem audit`."
    )
