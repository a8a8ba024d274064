"""The same rule where only curves were logged: the noise is read off the scatter of the curve. Reduced evidence."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from jaxtyping import Float

from overmem import statistics
from overmem.records import Checkpoint, CheckpointVerdict, Estimate, Limits, Onset
from overmem.seeds import generator
from overmem.verdict.onset import UNITS, after_healthy, bracket, crossings, first_shown, not_after
from overmem.verdict.quantities import SOFTNESS, TROUGH_SOFTNESS, Quantities, soft_weights

ASSUMED_NLL = 0.01
"""Standard error of a logged nll, in nats per token, where too few points show their scatter; half of it at least."""
ASSUMED_SHARE = 0.05
"""The same as a share of the lowest nll, where that is less."""
ASSUMED_ACCURACY = 0.02
"""Standard error of a logged accuracy where neither scatter nor the number of examples is known."""
DISCORDANCE = 0.10
"""Share of answers assumed to differ between two checkpoints of equal accuracy."""
ENOUGH = 6
"""Points from which the scatter is read."""


def quantities_of_curve(
    checkpoints: Sequence[Checkpoint],
    nll: Float[np.ndarray, " checkpoints"],
    accuracy: Float[np.ndarray, " checkpoints"],
    n: int | None = None,
    *,
    n_is_inferred: bool = False,
) -> Quantities:
    """Every quantity of every checkpoint.

    The standard error of a point is the robust scatter of the curve around a local line; for the accuracy it is at
    least that of n examples.

    Args:
        checkpoints: in time order.
        nll: logged, in nats per token.
        accuracy: logged, as a fraction.
        n: how many examples the accuracy was measured on, where it is known.
        n_is_inferred: whether n was read off the digits, so that nothing is known of the examples: the error is then
            the binomial one, without credit for the same examples being answered at every checkpoint.
    """
    count = len(nll)
    here_nll, here_accuracy = np.isfinite(nll), np.isfinite(accuracy)
    sound = accuracy[here_nll] if (here_nll & here_accuracy).any() else accuracy  # not those after a divergence
    nll_error, accuracy_error = nll_noise(nll), accuracy_noise(sound, n, n_is_inferred)
    minimum = int(np.nanargmin(nll)) if here_nll.any() else None
    gap, gap_error, plateau = np.full(count, np.nan), np.full(count, np.nan), np.zeros(count)
    if here_accuracy.any():
        distance = np.where(here_accuracy, np.nanmax(accuracy) - accuracy, np.inf)
        softness = SOFTNESS * sqrt(2) * max(accuracy_error, 1e-6)
        plateau = np.exp(-distance / softness)
        plateau /= plateau.sum()
        for i in np.flatnonzero(here_accuracy) if here_accuracy.sum() > 1 else []:
            others = np.where(np.arange(count) == i, np.inf, distance)
            weights = np.exp((others.min() - others) / softness)
            weights /= weights.sum()
            gap[i] = accuracy[i] - np.nansum(weights * np.where(here_accuracy, accuracy, 0.0))
            gap_error[i] = accuracy_error * sqrt(1 + float((weights**2).sum()))
    missing = [
        [w for w, there in (("usable loss", here_nll[i]), ("accuracy of answers", here_accuracy[i])) if not there]
        for i in range(count)
    ]
    return Quantities(
        nll=nll,
        nll_stderr=np.where(here_nll, nll_error, np.nan),
        excess=nll - np.nanmin(nll) if here_nll.sum() > 1 else np.full(count, np.nan),
        excess_stderr=np.where(here_nll, sqrt(2) * nll_error, np.nan),
        accuracy=accuracy,
        gap=gap,
        gap_stderr=gap_error,
        plateau=plateau,
        minimum=minimum,
        n_nll=0,
        n_accuracy=n or 0,
        step=1.0,
        notes=tuple(
            f"no {' and no '.join(m)} was logged" if m else "one evaluation alone shows no trend" if count == 1 else ""
            for m in missing
        ),
    )


def nll_noise(nll: Float[np.ndarray, " checkpoints"]) -> float:
    """Standard error of a logged nll."""
    positive = nll[np.isfinite(nll) & (nll > 0)]
    assumed = min(ASSUMED_NLL, ASSUMED_SHARE * float(positive.min())) if len(positive) else ASSUMED_NLL
    return max(scatter(nll) or assumed, assumed / 2)


def accuracy_noise(accuracy: Float[np.ndarray, " checkpoints"], n: int | None, n_is_inferred: bool) -> float:
    """Standard error of a logged accuracy; a curve without any scatter shows no error, which is not an error of 0."""
    by_scatter = scatter(accuracy)
    if not n:
        return by_scatter if by_scatter else ASSUMED_ACCURACY
    measured = accuracy[np.isfinite(accuracy)]
    if not n_is_inferred or not len(measured):
        by_count = sqrt(DISCORDANCE / 2 / n)
    else:
        share = (float(measured.mean()) * n + 1) / (n + 2)  # the rule of succession: never certain
        by_count = sqrt(share * (1 - share) / n)
    return by_count if by_scatter is None else max(by_scatter, by_count)


def scatter(values: Float[np.ndarray, " checkpoints"]) -> float | None:
    """Robust standard deviation of a point around the line through its neighbours; None for fewer than ENOUGH."""
    measured = values[np.isfinite(values)]
    if len(measured) < ENOUGH:
        return None
    return float(np.median(np.abs(np.diff(measured, n=2))) / 0.6745 / sqrt(6))


def onset_of_curve(
    checkpoints: Sequence[Checkpoint],
    verdicts: Sequence[CheckpointVerdict],
    q: Quantities,
    limits: Limits,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Onset | None:
    """As `onset`, the interval from noise of the size of the scatter added to the curve."""
    first = first_shown(verdicts)
    if first is None:
        return None
    crossed_at: dict[str, Estimate] = {}
    usable = np.flatnonzero(np.isfinite(q.nll) & np.isfinite(q.accuracy)).tolist()
    rng = generator("onset of a curve", seed)
    noise = rng.standard_normal((2, draws, len(usable)))
    noise[:, 0] = 0
    nll = q.nll[usable] + noise[0] * q.nll_stderr[usable]
    trough = soft_weights(q.excess[usable] - q.excess[usable].min(), TROUGH_SOFTNESS * q.excess_stderr[usable])
    over = nll - (nll @ trough)[:, None] - limits.nats_per_token(float(np.nanmin(q.nll[usable])), None)
    held = q.accuracy[usable] + noise[1] * q.gap_stderr[usable] / sqrt(2) - q.reference + limits.margin
    for name, unit in UNITS.items():
        progress = [unit(checkpoints[i]) for i in usable]
        if any(x is None for x in progress) or len(progress) < 2:
            continue
        times = np.array(progress, dtype=np.float64)
        if (np.diff(times) > 0).all():
            crossed = crossings(times, over, held, int(trough.argmax()))
            value = after_healthy(crossed, *bracket(verdicts, first, unit))
            shown = statistics.percentiles(crossed[1:], value, 0, "interval from the scatter of the curve")
            crossed_at[name] = not_after(shown, unit(checkpoints[first]))
    return Onset(checkpoints[first].name, **crossed_at)
