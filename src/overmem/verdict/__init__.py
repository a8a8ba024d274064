"""The rule: from per-example curves to regimes, onset and severity, with error control. Pure."""

import numpy as np

from overmem.records import CheckpointVerdict, Curves, Limits
from overmem.verdict.facts import facts
from overmem.verdict.onset import onset
from overmem.verdict.quantities import Quantities, quantities
from overmem.verdict.rule import judge
from overmem.verdict.severity import severity

__all__ = ["Quantities", "judge", "onset", "quantities", "regimes", "severity"]

DEFAULT = Limits()


def regimes(
    curves: Curves, limits: Limits = DEFAULT, *, train: Curves | None = None, seed: int = 0
) -> tuple[CheckpointVerdict, ...]:
    """The regime of every checkpoint, with the quantities and the tests that decided it.

    Accuracy is *kept* where it is shown to be no more than the margin below every stretch of the run; perplexity is
    *costly* where the trend is shown to have risen by 15% and half a nat per solution above its trough; rows are
    *memorized* where more than half of what `train` lost in nll is shown not to carry over to val. Kept, costly and
    memorized is over-memorized; kept and costly without memory is risen, not memorized; kept and cheap is healthy;
    lower and earlier than the best is under-trained; lost beyond the margin, later and costly is over-fitted; what the
    examples cannot tell is undecided, and leans.
    """
    tested = facts(
        curves,
        train,
        margin=limits.margin,
        rise=limits.rise,
        nats=limits.nats,
        d_nll=limits.d_nll,
        alpha=limits.alpha,
    )
    q = quantities(curves, seed=seed)
    lowest = float(np.nanmin(q.nll)) if np.isfinite(q.nll).any() else 0.0
    tokens = float(curves.token_counts.mean()) if len(curves.token_counts) else None
    margin = limits.margin if tested is None else tested.accuracy.margin
    return judge(tested, q, curves.checkpoints, limits.resolved(lowest, tokens, margin))
