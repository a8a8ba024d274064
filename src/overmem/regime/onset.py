"""When over-memorization begins: the point where perplexity grows costly while accuracy is kept."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from overmem import stats
from overmem.records import Checkpoint, CheckpointVerdict, Curves, Estimate
from overmem.regime.quantities import plateau_weights

DRAWS = 1000


def onset(
    curves: Curves,
    verdicts: Sequence[CheckpointVerdict],
    *,
    d_nll: float = 0.05,
    margin: float = 0.03,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Any]:
    """The first over-memorized checkpoint that no healthy one follows, and when the limits were crossed.

    `checkpoint` is the first one for which it is shown. `step`, `epoch` and `cumulative_lr` are estimates of the
    crossing itself, between checkpoints, each with a 95% interval from a bootstrap over examples. Empty where no
    checkpoint is over-memorized at the end of the run.
    """
    first = first_shown(verdicts)
    if first is None:
        return {}
    usable = [i for i, v in enumerate(verdicts) if v.nll.value is not None and v.accuracy.value is not None]
    found: dict[str, Any] = {"checkpoint": verdicts[first].checkpoint.name}
    examples = np.isfinite(curves.nll_sums[usable]).all(0) & np.isfinite(curves.correct[usable]).all(0)
    n = int(examples.sum())
    if n < 2:
        return found | {"step": Estimate(float(verdicts[first].checkpoint.step), n=n, note="no interval")}
    sums, correct = curves.nll_sums[np.ix_(usable, examples)], curves.correct[np.ix_(usable, examples)]
    tokens = curves.token_counts[examples].astype(np.float64)
    weights = stats.bootstrap_weights(n, draws, "onset", seed).astype(np.float64)
    nll = np.vstack([sums.sum(1) / tokens.sum(), (weights @ sums.T) / (weights @ tokens)[:, None]])
    accuracy = np.vstack([correct.mean(1), weights @ correct.T / n])
    reference = accuracy @ plateau_weights(correct)
    checkpoints = [curves.checkpoints[i] for i in usable]
    for name, unit in UNITS.items():
        at = [unit(c) for c in checkpoints]
        if any(x is None for x in at):
            continue
        times = np.array(at, dtype=np.float64)
        if len(times) > 1 and (np.diff(times) > 0).all():
            crossed = crossings(times, nll, accuracy - reference[:, None], d_nll, margin)
            found[name] = stats.percentiles(crossed[1:], float(crossed[0]), n, _unfinished(crossed[1:]))
    return found


UNITS: Mapping[str, Callable[[Checkpoint], float | None]] = {
    "step": lambda c: float(c.step),
    "epoch": lambda c: 0.0 if c.step == 0 else c.epoch,
    "cumulative_lr": lambda c: 0.0 if c.step == 0 else c.cumulative_lr,
}


def first_shown(verdicts: Sequence[CheckpointVerdict]) -> int | None:
    """Index of the first over-memorized checkpoint after the last healthy one."""
    healthy = [i for i, v in enumerate(verdicts) if v.regime == "healthy"]
    start = max(healthy, default=-1) + 1
    return next((i for i in range(start, len(verdicts)) if verdicts[i].regime == "over-memorized"), None)


def crossings(
    times: Float[np.ndarray, " checkpoints"],
    nll: Float[np.ndarray, "draws checkpoints"],
    gap: Float[np.ndarray, "draws checkpoints"],
    d_nll: float,
    margin: float,
) -> Float[np.ndarray, " draws"]:
    """When nll last rose past its minimum by d_nll with the accuracy within the margin, by linear interpolation.

    NaN for a draw in which the limits are not both passed at the end of its stretch.
    """
    draws, count = nll.shape
    rows = np.arange(draws)
    minimum = nll.argmin(1)
    over = nll - nll.min(1, keepdims=True) - d_nll
    held = gap + margin
    later = np.arange(count)[None, :] > minimum[:, None]
    both = later & (over > 0) & (held > 0)
    fine = (over <= 0) & (held > 0)
    last_fine = np.where(fine.any(1), count - 1 - fine[:, ::-1].argmax(1), -1)
    after = both & (np.arange(count)[None, :] > last_fine[:, None])
    first = after.argmax(1)
    found = np.where(after.any(1), times[first], np.nan)
    before = np.maximum(first - 1, 0)
    share = np.zeros(draws)
    for margin_of in (over, held):
        left, right = margin_of[rows, before], margin_of[rows, first]
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where(left < 0, -left / (right - left), 0.0)
        share = np.maximum(share, np.nan_to_num(part))
    inside = after.any(1) & (first > 0)
    return np.where(inside, times[before] + share * (times[first] - times[before]), found)


def _unfinished(crossed: Float[np.ndarray, " draws"]) -> str:
    lost = float(np.isnan(crossed).mean())
    return f"in {lost:.0%} of the resamples there is no onset" if lost > 0.05 else ""
