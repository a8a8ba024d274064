"""How bad it is: the excess, how much of it one temperature undoes, and on which tokens it lies."""

from collections.abc import Callable, Mapping, Sequence
from math import hypot
from typing import TypeAlias

import numpy as np

from overmem import statistics
from overmem.records import CheckpointVerdict, Curves, Estimate, Severity

Shares: TypeAlias = Callable[[str, str], Mapping[str, Estimate]]
"""Checkpoint and minimum -> `scale_share` and `agree_share`, those of the probe `mechanism`."""
SHARES = ("scale_share", "agree_share")


def severity(curves: Curves, checkpoint: str, minimum: str, shares: Shares | None = None) -> Severity | None:
    """The excess of a checkpoint over the perplexity minimum, in nats per token, and its shares, with 95% intervals.

    Args:
        curves: the curves of the split that it is measured on.
        checkpoint: the checkpoint whose severity it is.
        minimum: the checkpoint of lowest perplexity.
        shares: the shares of the excess, from the same tokens under both checkpoints; None where no token was seen.
    """
    names = [c.name for c in curves.checkpoints]
    if checkpoint not in names or minimum not in names:
        return None
    last, lowest = names.index(checkpoint), names.index(minimum)
    rows = np.isfinite(curves.nll_sums[[last, lowest]]).all(0)
    if rows.sum() < 2:
        return None
    rise = curves.nll_sums[last, rows] - curves.nll_sums[lowest, rows]
    excess = statistics.ratio(rise, curves.token_counts[rows].astype(np.float64))
    found = {} if shares is None else shares(checkpoint, minimum)
    return Severity(checkpoint, minimum, excess, **{name: found[name] for name in SHARES if name in found})


def logged_severity(verdicts: Sequence[CheckpointVerdict], checkpoint: str, minimum: str) -> Severity:
    """The excess as the log has it: the difference of two logged evaluations, neither smoothed nor shrunk."""
    named = {v.checkpoint.name: v for v in verdicts}
    low, high = named[minimum].nll, named[checkpoint].nll
    if low.value is None or high.value is None:
        return Severity(checkpoint, minimum, Estimate(None, note="not measured"))
    rise, n = high.value - low.value, named[checkpoint].accuracy.n
    widths = [(e.high - e.low) / 2 for e in (low, high) if e.low is not None and e.high is not None]
    if len(widths) < 2:
        return Severity(checkpoint, minimum, Estimate(rise, n=n, note="no interval: too few points"))
    half = hypot(*widths)
    note = "interval from the scatter of the curve"
    return Severity(checkpoint, minimum, Estimate(rise, rise - half, rise + half, n, note))
