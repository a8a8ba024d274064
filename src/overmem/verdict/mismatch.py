"""Whether train and val come from one distribution: where they do not, a rise of perplexity is not memorization."""

from math import sqrt

import numpy as np

from overmem import statistics
from overmem.records import Curves, Estimate


def mismatch(train: Curves | None, val: Curves, *, d_nll: float = 0.05, alpha: float = 0.05) -> tuple[bool, str]:
    """Whether the two splits differ before anything could be memorized, and the sentence that says so.

    Compared at the base model, which has seen neither; without it at the first checkpoint, but only if that lies
    within the first half epoch. They differ where |nll(train) - nll(val)| is shown to exceed d_nll nats per token.
    An empty sentence: compared, and no difference was shown.
    """
    if train is None:
        return False, "Train and val could not be compared: no training rows were scored."
    named = {c.name: i for i, c in enumerate(train.checkpoints)}
    for i, checkpoint in enumerate(val.checkpoints):
        early = checkpoint.step == 0 or (checkpoint.epoch is not None and checkpoint.epoch <= 0.5)
        j = named.get(checkpoint.name)
        if not early or j is None:
            continue
        gap = _gap(train, j, val, i)
        if gap.value is None or gap.low is None or gap.high is None:
            continue
        where = "the base model" if checkpoint.step == 0 else checkpoint.name
        stderr = (gap.high - gap.low) / (2 * statistics.Z)
        if statistics.tail(abs(gap.value), d_nll, stderr, gap.n) < alpha / 2:
            side = "higher" if gap.value > 0 else "lower"
            return True, (
                f"Val and train are not one distribution: at {where}, before anything was memorized, the nll of val is "
                f"{abs(gap.value):.3f} nats per token {side} than that of train "
                f"(95% interval {gap.low:+.3f} to {gap.high:+.3f}; limit {d_nll:g})."
            )
        return False, ""
    return (
        False,
        "Train and val could not be compared: neither the base model nor an early checkpoint was scored on both.",
    )


def _gap(train: Curves, j: int, val: Curves, i: int) -> Estimate:
    """The nll of val minus that of train, two independent samples."""
    parts = []
    for curves, row in ((val, i), (train, j)):
        known = np.isfinite(curves.nll_sums[row])
        top, bottom = curves.nll_sums[row, known], curves.token_counts[known].astype(np.float64)
        parts.append((statistics.ratio(top, bottom), statistics.ratio_stderr(top, bottom)))
    (left, left_error), (right, right_error) = parts
    if left.value is None or right.value is None:
        return Estimate(None, note="not measured")
    value, stderr = left.value - right.value, sqrt(left_error**2 + right_error**2)
    return Estimate(value, value - statistics.Z * stderr, value + statistics.Z * stderr, min(left.n, right.n))
