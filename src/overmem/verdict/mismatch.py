"""Whether train and val come from the same distribution: if not, a rise of perplexity is not memorization."""

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from overmem import statistics
from overmem.records import Checkpoint, Curves, Estimate, Limits
from overmem.records.verdicts import NOT_MEASURED

DEFAULT = Limits()
UNLIKE = 0.6
"""AUROC above which, by its lower end, words alone distinguish train from val."""


@dataclass(frozen=True)
class Mismatch:
    """Whether val and train differ before anything could have been memorized."""

    differs: bool | None
    """None if they could not be compared."""
    checkpoint: Checkpoint | None = None
    """Where they were compared; None if they were not, or if the user declared the answer."""
    gap: Estimate = NOT_MEASURED
    """nll of val minus nll of train at that checkpoint, in nats per token."""
    note: str = ""
    """Why they could not be compared."""
    blind: Estimate = NOT_MEASURED
    """AUROC of predicting from words alone, without a model, whether a solution is a training row."""


def mismatch(train: Curves | None, val: Curves, limits: Limits = DEFAULT) -> Mismatch:
    """Whether the two splits differ at the base model, which was trained on neither.

    Without a base model they are compared at the first checkpoint, if that is within the first half epoch.
    They differ where |nll(train) - nll(val)| is shown to exceed d_nll nats per token.
    """
    if train is None:
        return Mismatch(None, note="no training rows were scored")
    named = {c.name: i for i, c in enumerate(train.checkpoints)}
    for i, checkpoint in enumerate(val.checkpoints):
        early = checkpoint.step == 0 or (checkpoint.epoch is not None and checkpoint.epoch <= 0.5)
        j = named.get(checkpoint.name)
        if not early or j is None:
            continue
        gap = _gap(train, j, val, i)
        if gap.value is None or gap.low is None or gap.high is None:
            continue
        stderr = (gap.high - gap.low) / (2 * statistics.Z)
        level = _nll(val, i).value
        if level is None:
            continue
        limit = limits.nats_per_token(level, float(val.token_counts.mean()))
        differs = statistics.tail(abs(gap.value), limit, stderr, gap.n) < limits.alpha / 2
        return Mismatch(differs, checkpoint, gap)
    return Mismatch(None, note="neither the base model nor an early checkpoint was scored on both")


def with_blind(shift: Mismatch, blind: Estimate) -> Mismatch:
    """The same, knowing how well the words alone predict it: beyond UNLIKE the splits differ whatever the nll says."""
    is_shown = blind.low is not None and blind.low > UNLIKE
    return replace(shift, differs=True if is_shown else shift.differs, blind=blind)


def _gap(train: Curves, j: int, val: Curves, i: int) -> Estimate:
    """The nll of val minus that of train, two independent samples."""
    left, right = _nll(val, i), _nll(train, j)
    if left.value is None or right.value is None or left.stderr is None or right.stderr is None:
        return Estimate(None, note="not measured")
    value, stderr = left.value - right.value, sqrt(left.stderr**2 + right.stderr**2)
    return Estimate(value, value - statistics.Z * stderr, value + statistics.Z * stderr, min(left.n, right.n))


def _nll(curves: Curves, row: int) -> Estimate:
    """Nats per token at one checkpoint, over the examples that were scored there."""
    scored = np.isfinite(curves.nll_sums[row])
    sums, tokens = curves.nll_sums[row, scored], curves.token_counts[scored].astype(np.float64)
    return replace(statistics.ratio(sums, tokens), stderr=statistics.ratio_stderr(sums, tokens))
