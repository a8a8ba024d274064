"""When over-memorization begins: the point where perplexity grows costly while accuracy is kept.

Perplexity is counted from a *trough*, a mean over the checkpoints near the minimum whose weights stay fixed in the
bootstrap. The minimum of K noisy values lies below the truth, and that of each resample lies below it once more: its
interval would count the same noise twice, and be too wide and too early.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from overmem import statistics
from overmem.records import Checkpoint, CheckpointVerdict, Curves, Estimate, Limits, Onset
from overmem.verdict.quantities import plateau_weights, trough_weights

DRAWS = 1000
DEFAULT = Limits()
SUBSTEPS = 8
"""Parts into which the time between two checkpoints is cut where a crossing is looked for."""


def onset(
    curves: Curves,
    verdicts: Sequence[CheckpointVerdict],
    limits: Limits = DEFAULT,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Onset | None:
    """The first over-memorized checkpoint that no healthy one follows, and when the limits were crossed.

    `step`, `epoch` and `cumulative_lr` are estimates of the crossing itself, between checkpoints, each with a 95%
    interval from a bootstrap over examples. None where no checkpoint is over-memorized at the end of the run.
    """
    first = first_shown(verdicts)
    if first is None:
        return None
    usable = [i for i, v in enumerate(verdicts) if v.is_judged and v.checkpoint.step > 0]
    shown = verdicts[first].checkpoint
    examples = np.isfinite(curves.nll_sums[usable]).all(0) & np.isfinite(curves.correct[usable]).all(0)
    n = int(examples.sum())
    if n < 2:
        return Onset(shown.name, Estimate(float(shown.step), n=n, note="no interval: too few examples"))
    sums, correct = curves.nll_sums[np.ix_(usable, examples)], curves.correct[np.ix_(usable, examples)]
    tokens = curves.token_counts[examples].astype(np.float64)
    weights = statistics.bootstrap_weights(n, draws, "onset", seed).astype(np.float64)
    nll = np.vstack([sums.sum(1) / tokens.sum(), (weights @ sums.T) / (weights @ tokens)[:, None]])
    accuracy = np.vstack([correct.mean(1), weights @ correct.T / n])
    trough, plateau = trough_weights(sums, tokens), plateau_weights(correct)
    limit = limits.nats_per_token(float(nll[0].min()), float(tokens.mean()))
    over = nll - (nll @ trough)[:, None] - limit
    held = accuracy - (accuracy @ plateau)[:, None] + limits.margin
    checkpoints = [curves.checkpoints[i] for i in usable]
    crossed_at: dict[str, Estimate] = {}
    for name, unit in UNITS.items():
        progress = [unit(c) for c in checkpoints]
        if any(x is None for x in progress):
            continue
        times = np.array(progress, dtype=np.float64)
        if len(times) > 1 and (np.diff(times) > 0).all():
            crossed = crossings(times, over, held, int(trough.argmax()))
            crossed_at[name] = statistics.percentiles(crossed[1:], float(crossed[0]), n, _unfinished(crossed[1:]))
    return Onset(shown.name, **crossed_at)


UNITS: Mapping[str, Callable[[Checkpoint], float | None]] = {
    "step": lambda c: float(c.step),
    "epoch": lambda c: 0.0 if c.step == 0 else c.epoch,
    "cumulative_lr": lambda c: 0.0 if c.step == 0 else c.cumulative_lr,
}


HEALTHY = ("healthy", "healthy-memorizing")


def first_shown(verdicts: Sequence[CheckpointVerdict]) -> int | None:
    """Index of the first over-memorized checkpoint after the last healthy one."""
    healthy = [i for i, v in enumerate(verdicts) if v.regime in HEALTHY]
    start = max(healthy, default=-1) + 1
    return next((i for i in range(start, len(verdicts)) if verdicts[i].regime == "over-memorized"), None)


def crossings(
    times: Float[np.ndarray, " checkpoints"],
    over: Float[np.ndarray, "draws checkpoints"],
    held: Float[np.ndarray, "draws checkpoints"],
    start: int,
) -> Float[np.ndarray, " draws"]:
    """When `over` (nll above its limit) last turned positive with `held` (accuracy above its own) positive.

    Only after checkpoint `start`. Between checkpoints the curves are monotone cubics through the measured points, which
    bend as the neighbours say and never overshoot. NaN for a draw in which the two are not both positive at the end of
    their stretch.
    """
    from scipy.interpolate import PchipInterpolator

    parts = np.arange(SUBSTEPS) / SUBSTEPS
    fine = np.append((times[:-1, None] + parts * np.diff(times)[:, None]).ravel(), times[-1])
    over, held = (PchipInterpolator(times, values, axis=1)(fine) for values in (over, held))
    draws, count = over.shape
    rows, place = np.arange(draws), np.arange(count)[None, :]
    both = (place > start * SUBSTEPS) & (over > 0) & (held > 0)
    well = (over <= 0) & (held > 0)
    last_well = np.where(well.any(1), count - 1 - well[:, ::-1].argmax(1), -1)
    after = both & (place > last_well[:, None])
    first = after.argmax(1)
    before = np.maximum(first - 1, 0)
    share = np.zeros(draws)
    for values in (over, held):
        left, right = values[rows, before], values[rows, first]
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where(left < 0, -left / (right - left), 0.0)
        share = np.maximum(share, np.nan_to_num(part))
    return np.where(after.any(1), fine[before] + share * (fine[first] - fine[before]), np.nan)


def _unfinished(crossed: Float[np.ndarray, " draws"]) -> str:
    lost = float(np.isnan(crossed).mean())
    return f"in {lost:.0%} of the resamples there is no onset" if lost > 0.05 else ""
