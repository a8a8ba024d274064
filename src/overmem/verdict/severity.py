"""How bad it is: the excess, how much of it one temperature undoes, and on which tokens it lies."""

from collections.abc import Sequence
from math import hypot

import numpy as np

from overmem import statistics
from overmem.records import CheckpointVerdict, Curves, Estimate, Severity


def severity(curves: Curves, checkpoint: str, minimum: str, *, draws: int = 1000, seed: int = 0) -> Severity | None:
    """`excess`, `scale_share` and `agree_share` of a checkpoint over the perplexity minimum, with 95% intervals.

    excess: nats per token above the checkpoint `minimum`. scale_share: the part of it that one temperature for the
    whole split undoes. agree_share: the part of it that lies on tokens where the label is the argmax (negative where
    these got surer and only the others worse). The shares have no value where the excess is not shown to be above 0.
    """
    names = [c.name for c in curves.checkpoints]
    if checkpoint not in names or minimum not in names:
        return None
    last, lowest = names.index(checkpoint), names.index(minimum)
    rows = np.isfinite(curves.nll_sums[[last, lowest]]).all(0)
    n = int(rows.sum())
    if n < 2:
        return None
    tokens = curves.token_counts[rows].astype(np.float64)
    rise = curves.nll_sums[last, rows] - curves.nll_sums[lowest, rows]
    excess = statistics.ratio(rise, tokens)
    shares: dict[str, Estimate] = {}
    unsure = excess.low is None or excess.low <= 0
    weights = np.vstack([np.ones(n), statistics.bootstrap_weights(n, draws, "severity", seed)])
    whole = weights @ rise
    if curves.tempered_nll is not None:
        tempered = curves.tempered_nll[[last, lowest]][:, rows]
        if np.isfinite(tempered).all():
            best = np.stack([weights @ tempered[0], weights @ tempered[1]]).min(-1)
            shares["scale_share"] = _share(whole - (best[0] - best[1]), whole, n, unsure)
    if curves.agree_nll_sums is not None:
        agree = curves.agree_nll_sums[last, rows] - curves.agree_nll_sums[lowest, rows]
        if np.isfinite(agree).all():
            shares["agree_share"] = _share(weights @ agree, whole, n, unsure)
    return Severity(checkpoint, minimum, excess, **shares)


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


def _share(part: np.ndarray, whole: np.ndarray, n: int, unsure: bool) -> Estimate:
    if unsure:
        return Estimate(None, n=n, note="no excess to share out")
    resampled = part / whole
    return statistics.percentiles(resampled[1:], float(resampled[0]), n)
