"""The verdict so far, during training, by the same rules as `overmem diagnose` afterwards."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from overmem import statistics
from overmem.callback.config import CallbackConfig
from overmem.records import CheckpointVerdict, Choice, Limits, Snapshot
from overmem.store import curves_of
from overmem.verdict.assess import Assessment, assess
from overmem.verdict.evidence import Evidence
from overmem.wording.headline import ship_none
from overmem.wording.numbers import format_interval, format_n, parenthetical
from overmem.wording.sentences import onset_sentence


@dataclass(frozen=True)
class Judged:
    """The verdict so far."""

    warning: str
    """In words, what has begun; empty where nothing has."""
    stops: bool
    """Over-memorization has begun, and the newest checkpoint is not the best: accuracy no longer pays for it."""
    assessment: Assessment
    """The judgement that both follow from."""

    @property
    def recommended(self) -> Choice | None:
        """The checkpoint to ship among those that may be recommended; None if none is worth it."""
        return self.assessment.recommended

    @property
    def best(self) -> Choice | None:
        """The best of those that may be recommended, worth shipping or not."""
        return self.assessment.best


def judged(observed: Sequence[Snapshot], config: CallbackConfig, on_disk: Collection[str] | None = None) -> Judged:
    """The verdict on the measurements so far, in time order; only checkpoints in `on_disk` (None: all) are recommended.

    Judging again at every checkpoint warns falsely hardly more often than judging once: docs/results/callback.md.
    """
    with_train = [s for s in observed if "train" in s.scores]
    evidence = Evidence(
        val=curves_of(observed, "val"), train=curves_of(with_train, "train") if with_train else None, on_disk=on_disk
    )
    assessment = assess(evidence, Limits(d_nll=config.d_nll, margin=config.margin))
    if not config.answers:
        return Judged("" if assessment.mismatch.differs else _costly(assessment.verdicts), False, assessment)
    if assessment.onset is None:
        return Judged("", False, assessment)
    return _begun(assessment)


def _begun(assessment: Assessment) -> Judged:
    """Over-memorization has begun."""
    newest, best = assessment.verdicts[-1].checkpoint, assessment.best_of_run
    assert assessment.onset is not None
    warning = f"{onset_sentence(assessment.onset)} Now at step {newest.step:,}"
    if best and not assessment.is_worth_shipping:
        warning += f". {ship_none(assessment)}"
    else:
        warning += f"; of all so far, {best} is the one to ship." if best else "."
    return Judged(warning, bool(best) and best != newest.name, assessment)


def too_few(n: int, margin: float, alpha: float = 0.05) -> str:
    """That `n` answers could never show accuracy to be kept, however well they agree; empty where they could."""
    if _could_show(n, margin, alpha):
        return ""
    enough = next(m for m in range(n, 10**9, 10) if _could_show(m, margin, alpha))
    return (
        f"{n} val questions can never show that accuracy is kept within {margin:g}, so no onset will be seen; "
        f"{enough} could: OvermemCallback(rows=), or a larger margin="
    )


def _could_show(n: int, margin: float, alpha: float) -> bool:
    """Whether perfect agreement of `n` answers, three neighbouring checkpoints pooled, shows accuracy to be kept."""
    return statistics.noninferior(0.0, 0.0, margin, n, step=1 / 3) < alpha


def _costly(verdicts: Sequence[CheckpointVerdict]) -> str:
    """A warning that perplexity is costly at the newest checkpoint, for runs without answers."""
    newest = verdicts[-1]
    excess = newest.excess
    if not newest.tests.costly or excess.value is None:
        return ""
    shown = parenthetical(format_interval(excess.low, excess.high), format_n(excess.n))
    return (
        f"At step {newest.checkpoint.step:,} the perplexity of val is costly: {excess.value:.3f} nats per token above "
        f"its minimum{shown}. Whether that is "
        "over-memorization or over-fitting only answers can tell: OvermemCallback(answers=True), or `overmem audit`."
    )
