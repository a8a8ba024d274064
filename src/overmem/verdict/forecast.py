"""When over-memorization will begin, from the checkpoints so far: an interval from a stated model. Pure.

The model: nll(s) = a + b exp(-s / tau) + growth(s - h) over cumulative learning rate s (over steps where the rate is
not known): what is still being learned, and a growth that begins at h. The growth is straight, gathers speed, or levels
off, and one that levels off below the limit never comes to it. Nothing in a curve tells of a growth that has not begun,
so h, its form, its size and tau are not fitted but averaged over: every start up to HORIZON and none at all, slow and
fast, each weighted by how well it agrees with the checkpoints so far. Before a rise shows, the interval reaches
from soon to never, and it closes as the rise shows. docs/results/verdict.md shows its record on simulated runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, isfinite

import numpy as np
from jaxtyping import Float

from overmem.records import Curves, Estimate
from overmem.seeds import generator
from overmem.verdict.quantities import ratio_covariance

HORIZON = 5.0
"""A crossing is looked for up to this many times the progress so far."""
FEWEST = 5
TAUS = np.geomspace(0.02, 0.8, 16)
"""How long learning takes, as a share of the progress so far."""
SOON = np.array([1.01, 1.03, 1.06, 1.1, 1.15, 1.2])
STARTS = np.concatenate([np.linspace(0.0, 1.0, 26), SOON, np.linspace(1.0, HORIZON, 17)[1:], [inf]])
"""When growth begins, as a share of the progress so far; infinite: not within the horizon."""
BEGUN, NEVER = 0.5, 0.15
"""Prior probability that growth began within the run so far, and that it does not begin at all."""
RATES = np.geomspace(0.05, 5.0, 13)
"""Growth over as much training as the run has had so far, or where it levels off; over the lowest nll."""
FORMS: Mapping[str, tuple[float, Callable[[np.ndarray], np.ndarray]]] = {
    "straight": (0.4, lambda x: x),
    "gathering": (0.2, lambda x: x**2),
    "levelling soon": (0.2, lambda x: 1 - np.exp(-x / 0.15)),
    "levelling late": (0.2, lambda x: 1 - np.exp(-x / 0.5)),
}
"""Prior probability of each form of growth, and the form: of the time since it began, over the progress so far."""
SCATTERS = np.array([0.0075, 0.025, 0.06])
"""Luck of a checkpoint as a whole, in addition to the noise of the examples: standard deviation over the lowest nll.
Never 0: one point that stands out must not be believed to the last digit."""


@dataclass(frozen=True)
class Forecast:
    """When the nll will have risen by d_nll above its minimum, if training goes on as it did."""

    step: Estimate
    """A high end that is infinite: it may never come, within HORIZON times the run so far."""
    cumulative_lr: Estimate
    begun: bool
    """It has been passed already."""
    now: int
    """Step of the last checkpoint."""
    d_nll: float
    never: float | None = None
    """Probability that it does not come within HORIZON times the run so far; None where too little is known."""


def forecast(curves: Curves, *, d_nll: float = 0.05, draws: int = 2000, seed: int = 0) -> Forecast:
    """The step at which perplexity becomes costly, with a 95% interval; no value where too little is known."""
    rows = [i for i, c in enumerate(curves.checkpoints) if np.isfinite(curves.nll_sums[i]).any() and c.step > 0]
    kept = np.isfinite(curves.nll_sums[rows]).all(0) if rows else np.zeros(0, dtype=bool)
    n = int(kept.sum())
    if len(rows) < FEWEST or n < 2:
        why = f"a forecast needs {FEWEST} evaluated checkpoints, there are {len(rows)}"
        now = max((c.step for c in curves.checkpoints), default=0)
        return Forecast(Estimate(None, n=n, note=why), Estimate(None, n=n, note=why), False, now, d_nll)
    steps = np.array([curves.checkpoints[i].step for i in rows], dtype=np.float64)
    rates = [curves.checkpoints[i].cumulative_lr for i in rows]
    has_rates = all(r is not None for r in rates)
    progress = np.array(rates, dtype=np.float64) if has_rates else steps
    if not (np.diff(progress) > 0).all():
        progress, has_rates = steps, False
    sums, tokens = curves.nll_sums[rows][:, kept], curves.token_counts[kept].astype(np.float64)
    noise = ratio_covariance(sums, tokens)
    crossed = crossing(progress / progress[-1], sums.sum(1) / tokens.sum(), noise, d_nll, draws, seed)
    begun = bool(np.mean(crossed <= 1.0) > 0.975)
    per_step = (progress[-1] - progress[-2]) / (steps[-1] - steps[-2])
    at_step = np.where(
        crossed <= 1,
        np.interp(crossed, progress / progress[-1], steps),
        steps[-1] + (crossed - 1) * progress[-1] / per_step,
    )
    step = _interval(at_step, n)
    rate = (
        _interval(crossed * progress[-1], n) if has_rates else Estimate(None, n=n, note="learning rates are not known")
    )
    return Forecast(step, rate, begun, int(steps[-1]), d_nll, float(np.mean(~np.isfinite(crossed))))


def crossing(
    s: Float[np.ndarray, " checkpoints"],
    nll: Float[np.ndarray, " checkpoints"],
    noise: Float[np.ndarray, "checkpoints checkpoints"],
    d_nll: float,
    draws: int,
    seed: int = 0,
) -> Float[np.ndarray, " draws"]:
    """Draws of where the curve has risen by d_nll above its minimum; infinite beyond the horizon.

    `s` is progress as a share of the progress so far, `noise` the covariance of the errors of `nll`.
    """
    shapes = [(h, form) for h in STARTS.tolist() for form in FORMS]
    prior = (_starts()[:, None] * np.array([[p for p, _ in FORMS.values()]])).ravel()
    growths = np.stack([_growth(s, h, form) for h, form in shapes])
    lowest = max(float(nll.min()), 1e-6)
    rates = RATES * lowest
    levels_off = np.array([form.startswith("levelling") for _, form in shapes])
    starts = np.array([h for h, _ in shapes])
    frames, scores = [], []
    for tau in TAUS.tolist():
        # a growth that levels off while the fall goes on is no growth: the two would stand for another fall
        possible = np.where(levels_off & (starts < 3 * tau) & (starts <= 1), 1e-9, 1.0)
        fall = np.exp(-(s - s[0]) / tau)
        for scatter in SCATTERS * lowest:
            covariance = noise + (scatter**2 + 1e-12) * np.eye(len(s)) + 100.0 + np.outer(fall, fall)
            root = np.linalg.cholesky(covariance)
            white = np.linalg.solve(root, np.vstack([nll - nll[-1], fall, growths]).T)
            y, e, g = white[:, 0], white[:, 1], white[:, 2:]
            misfit = y @ y - 2 * rates[:, None] * (y @ g) + rates[:, None] ** 2 * (g * g).sum(0)
            scores.append(-0.5 * misfit - np.log(np.diag(root)).sum() + np.log(prior * possible))
            frames.append((tau, y, e, g))
    score = np.stack(scores)
    chance = np.exp(score - score.max()).ravel()
    rng = generator("forecast", seed)
    picked = rng.choice(len(chance), size=draws, p=chance / chance.sum())
    frame, rate, shape = np.unravel_index(picked, score.shape)
    future = np.concatenate([np.linspace(s[0], 1, 200), np.linspace(1, HORIZON, 401)[1:]])
    rising = np.stack([_growth(future, h, form) for h, form in shapes])
    curve = rates[rate][:, None] * rising[shape]
    for index, (tau, y, e, g) in enumerate(frames):
        here = np.flatnonzero(frame == index)
        residual = y[:, None] - rates[rate[here]] * g[:, shape[here]]
        spread = np.sqrt(max(1.0 - float(e @ e), 0.0))
        fall = e @ residual + spread * rng.standard_normal(len(here))
        curve[here] += fall[:, None] * np.exp(-(future - s[0]) / tau)
    over = curve - np.minimum.accumulate(curve, axis=1) > d_nll
    return np.where(over.any(1), future[over.argmax(1)], inf)


def _starts() -> Float[np.ndarray, " starts"]:
    """Prior probability of each of STARTS: past ones alike, future ones by the logarithm of how far off they are."""
    past, never = STARTS <= 1, np.isinf(STARTS)
    future = ~past & ~never
    width = np.zeros(len(STARTS))
    width[future] = np.gradient(np.log(STARTS[future] - 1))
    weights = np.where(past, BEGUN / past.sum(), np.where(never, NEVER, 0.0))
    return np.where(future, (1 - BEGUN - NEVER) * width / width[future].sum(), weights)


def _growth(s: Float[np.ndarray, " times"], start: float, form: str) -> Float[np.ndarray, " times"]:
    return FORMS[form][1](np.maximum(0.0, s - start)) if isfinite(start) else np.zeros_like(s)


def _interval(values: Float[np.ndarray, " draws"], n: int) -> Estimate:
    low, middle, high = np.quantile(values, (0.025, 0.5, 0.975), method="nearest")
    note = "" if isfinite(high) else "the interval has no upper end: it may not come"
    return Estimate(float(middle) if isfinite(middle) else None, float(low), float(high), n, note)
