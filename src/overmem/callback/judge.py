"""What the checkpoints so far say, while training goes on: by the rules that `overmem diagnose` follows afterwards."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from overmem import statistics
from overmem.callback.watch import CallbackConfig
from overmem.records import CheckpointVerdict, Choice, Snapshot
from overmem.store import curves_of
from overmem.verdict import onset, regimes
from overmem.verdict.mismatch import mismatch
from overmem.verdict.rule import STRICTER
from overmem.verdict.selection import choices
from overmem.wording.sentences import onset_sentence


@dataclass(frozen=True)
class Judged:
    """The verdict so far."""

    warning: str
    """In words, what has begun; empty where nothing has."""
    stops: bool
    """Over-memorization has begun, and the newest checkpoint is not the one to ship: accuracy no longer pays for it."""
    recommended: Choice | None
    """The one to ship of those on disk."""


def judged(observed: Sequence[Snapshot], watch: CallbackConfig, on_disk: Collection[str]) -> Judged:
    """The verdict on the measurements so far, in time order.

    Judging again at every checkpoint warns falsely hardly more often than judging once: docs/results/callback.md.
    """
    val = curves_of(observed, "val")
    verdicts = regimes(val, d_nll=watch.d_nll, margin=watch.margin)
    compared = [s for s in observed if "train" in s.scores]
    differs, _ = mismatch(curves_of(compared, "train") if compared else None, val, d_nll=watch.d_nll)
    if not watch.answers:
        return Judged("" if differs else _costly(verdicts), False, None)
    begun = {} if differs else onset(val, verdicts, d_nll=watch.d_nll, margin=watch.margin)
    kept, _ = choices(val, None, verdicts, d_nll=watch.d_nll, on_disk=on_disk)
    if not begun:
        return Judged("", False, kept)
    best, _ = choices(val, None, verdicts, d_nll=watch.d_nll)
    name = best.checkpoint if best is not None else None
    newest = observed[-1].checkpoint
    warning = f"{onset_sentence(begun)} Now at step {newest.step:,}; of all so far, {name} is the one to ship."
    return Judged(warning, name is not None and name != newest.name, kept)


def too_few(n: int, margin: float, alpha: float = 0.05) -> str:
    """That `n` answers could never show accuracy to be kept, however well they agree; empty where they could."""
    if statistics.noninferior(0.0, 0.0, margin, n) < alpha * STRICTER:
        return ""
    enough = next(m for m in range(n, 10**9, 10) if statistics.noninferior(0.0, 0.0, margin, m) < alpha * STRICTER)
    return (
        f"{n} val questions can never show that accuracy is kept within {margin:g}, so no onset will be seen; "
        f"{enough} could: OvermemCallback(rows=), or a larger margin="
    )


def _costly(verdicts: Sequence[CheckpointVerdict]) -> str:
    """That perplexity has grown costly at the newest checkpoint; without answers nothing more can be said."""
    newest = verdicts[-1]
    if not newest.evidence["costly"]:
        return ""
    excess = newest.excess
    return (
        f"At step {newest.checkpoint.step:,} the perplexity of val is costly: {excess.value:.3f} nats per token above "
        f"its minimum (95% interval {excess.low:.3f} to {excess.high:.3f}, n = {excess.n:,}). Whether that is "
        "over-memorization or over-fitting only answers can tell: OvermemCallback(answers=True), or `overmem audit`."
    )
