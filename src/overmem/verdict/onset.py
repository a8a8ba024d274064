"""When over-memorization begins: the point where the trend of perplexity grows costly while accuracy is kept.

The interval holds both errors: of the examples, with every question as one cluster, and of the luck of checkpoints,
which is drawn from its estimate. Where luck outweighs sampling the crossing is that of the trend and not of
single checkpoints, and the trough is looked for in every draw. Elsewhere the trough is a mean over the checkpoints near
the minimum whose weights stay fixed over the draws: the minimum of K noisy values lies below the truth, and that of
each draw would lie below it once more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from overmem import statistics
from overmem.records import Checkpoint, CheckpointVerdict, Curves, Estimate, Limits, Onset
from overmem.seeds import generator
from overmem.verdict.clusters import Groups, log_ratio_and_covariance, mean_and_covariance
from overmem.verdict.luck import ACCURACY_GRID, ACCURACY_PRIOR, NLL_GRID, NLL_PRIOR, Luck, luck
from overmem.verdict.quantities import plateau_weights, trough_weights
from overmem.verdict.rise import paired_variance, trend_from
from overmem.verdict.windows import around, local_line

DRAWS = 1000
DEFAULT = Limits()
UNDERRATED = 6.0
"""Divided by the number of checkpoints: the share by which luck is underestimated in simulated runs, because a part of
it is taken for bends of the trend."""
FEWEST = 20
"""Least number of draws of which a median is taken."""
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
    interval from draws of the errors of examples and of luck. None where no checkpoint is over-memorized at the end.
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
    groups = curves.groups_of(examples)
    rng = generator("onset", seed)
    over, trough = _over(rng, sums, tokens, groups, limits, draws)
    held = _held(rng, correct, groups, limits.margin, draws)
    checkpoints = [curves.checkpoints[i] for i in usable]
    crossed_at: dict[str, Estimate] = {}
    for name, unit in UNITS.items():
        progress = [unit(c) for c in checkpoints]
        if any(x is None for x in progress):
            continue
        times = np.array(progress, dtype=np.float64)
        if len(times) > 1 and (np.diff(times) > 0).all():
            crossed = crossings(times, over, held, trough)
            value = after_healthy(crossed, *bracket(verdicts, first, unit))
            began = statistics.percentiles(crossed[1:], value, n, _unfinished(crossed[1:]))
            crossed_at[name] = not_after(began, unit(shown))
    return Onset(shown.name, **crossed_at)


def _over(
    rng: np.random.Generator,
    sums: Float[np.ndarray, "checkpoints examples"],
    tokens: Float[np.ndarray, " examples"],
    groups: Groups,
    limits: Limits,
    draws: int,
) -> tuple[Float[np.ndarray, "draws checkpoints"], int]:
    """Nats per token above the limit, the first row as measured and the others with other errors; and the trough."""
    levels, covariance = log_ratio_and_covariance(sums, tokens, groups)
    estimated, sampling = luck(levels, covariance, NLL_GRID, NLL_PRIOR), paired_variance(covariance)
    limit = limits.nats_per_token(float(np.exp(levels.min())), float(tokens.mean()))
    weights = trough_weights(sums, tokens)
    values = np.concatenate([[_likeliest(estimated)], _lucky(rng, estimated, draws, len(covariance))])
    noisy = levels + _errors(rng, covariance, values)
    nll = np.exp(noisy)
    over = nll - (nll @ weights)[:, None] - limit
    smooth = (values**2 > sampling) & (not estimated.assumed)
    lowest = (noisy @ around(len(levels)).T).argmin(1)
    for place in np.unique(lowest[smooth]).tolist():
        here = smooth & (lowest == place)
        own, bottom = trend_from(len(levels), place), local_line(len(levels), place, place)
        over[here] = np.exp(noisy[here] @ own.T) - np.exp(noisy[here] @ bottom)[:, None] - limit
    return over, int(lowest[0]) if smooth[0] else int(weights.argmax())


def _held(
    rng: np.random.Generator,
    correct: Float[np.ndarray, "checkpoints examples"],
    groups: Groups,
    margin: float,
    draws: int,
) -> Float[np.ndarray, "draws checkpoints"]:
    """Accuracy above its own limit, likewise."""
    means, covariance = mean_and_covariance(correct, groups)
    estimated = luck(means, covariance, ACCURACY_GRID, ACCURACY_PRIOR)
    values = np.concatenate([[_likeliest(estimated)], _lucky(rng, estimated, draws, len(covariance))])
    noisy = means + _errors(rng, covariance, values)
    smooth = (values**2 > paired_variance(covariance)) & (not estimated.assumed)
    noisy = np.where(smooth[:, None], noisy @ around(len(means)).T, noisy)
    return np.asarray(noisy - (noisy @ plateau_weights(correct))[:, None] + margin)


def _likeliest(estimated: Luck) -> float:
    return float(estimated.values[estimated.weights.argmax()])


def _lucky(rng: np.random.Generator, estimated: Luck, draws: int, count: int) -> Float[np.ndarray, " draws"]:
    """Draws of the standard deviation of luck, scaled up: its estimate is too low, the interval too narrow."""
    drawn = rng.choice(estimated.values, size=draws, p=estimated.weights / estimated.weights.sum())
    return drawn * (1.0 if estimated.assumed else 1 + UNDERRATED / count)


def _errors(
    rng: np.random.Generator,
    covariance: Float[np.ndarray, "checkpoints checkpoints"],
    luck: Float[np.ndarray, " draws"],
) -> Float[np.ndarray, "draws checkpoints"]:
    """Errors of sampling and luck; none in the first row."""
    count = len(covariance)
    size, directions = np.linalg.eigh(covariance)
    root = directions * np.sqrt(np.maximum(size, 0.0))
    errors = rng.standard_normal((len(luck), count)) @ root.T + luck[:, None] * rng.standard_normal((len(luck), count))
    errors[0] = 0.0
    return np.asarray(errors)


def after_healthy(crossed: Float[np.ndarray, " draws"], healthy: float | None, shown: float | None) -> float:
    """The crossing, not before the last checkpoint that is shown to be healthy.

    An estimate that lies before it is replaced by the median of the draws that lie after it. The interval keeps all
    draws: a single checkpoint may be healthy by luck.

    Args:
        crossed: the crossing as measured, then the draws of it; NaN where there is none.
        healthy: time of the last healthy checkpoint; None where there is none.
        shown: time of the first checkpoint that is over-memorized.
    """
    value = float(crossed[0])
    if healthy is None or shown is None or not value <= healthy:
        return value
    later = crossed[1:][(crossed[1:] > healthy) & (crossed[1:] <= shown)]
    return float(np.median(later)) if len(later) >= FEWEST else (healthy + shown) / 2


def bracket(
    verdicts: Sequence[CheckpointVerdict], first: int, unit: Callable[[Checkpoint], float | None]
) -> tuple[float | None, float | None]:
    """Times of the last healthy trained checkpoint, and of the first over-memorized one after it."""
    healthy = [v.checkpoint for v in verdicts[:first] if v.regime in HEALTHY and v.checkpoint.step > 0]
    return (unit(healthy[-1]) if healthy else None), unit(verdicts[first].checkpoint)


def not_after(began: Estimate, shown: float | None) -> Estimate:
    """The crossing, no later than where over-memorization is shown: it had begun by then."""
    if began.value is not None and began.high is not None:
        began = replace(began, high=max(began.high, began.value))
    if began.value is None or shown is None or began.value <= shown:
        return began
    return replace(began, value=shown, low=None if began.low is None else min(began.low, shown))


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
    healthy = (over <= 0) & (held > 0)
    last_healthy = np.where(healthy.any(1), count - 1 - healthy[:, ::-1].argmax(1), -1)
    after = both & (place > last_healthy[:, None])
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
