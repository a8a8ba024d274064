"""When over-memorization will begin, from the checkpoints so far: an interval from a stated model. Pure.

The model: nll(s) = a + b exp(-s / tau) + g max(0, s - h)^p over cumulative learning rate s (over steps where the rate
is not known): what is still being learned, and a growth that begins at h. Nothing in a curve tells of a growth that has
not begun, so h, g, p and tau are not fitted but averaged over: every start up to HORIZON, slow and fast growth,
straight or bent, each weighted by how well it agrees with the checkpoints so far. Before a rise shows, the interval
therefore reaches from soon to never, and it closes as the rise shows. docs/results/verdict.md shows its record on
simulated runs.
"""

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
TAUS = np.geomspace(0.02, 0.8, 7)
"""How long learning takes, as a share of the progress so far."""
STARTS = np.concatenate([np.linspace(0.0, 1.0, 26), np.linspace(1.0, HORIZON, 17)[1:], [inf]])
"""When growth begins; infinite: never within the horizon. A priori half of them lie in the run so far."""
RATES = np.geomspace(0.02, 2.0, 13)
"""Growth in nats per token over as much training as the run has had so far."""
BENDS = (1.0, 2.0)
"""The power p: growth that is straight, and growth that gathers speed."""
SCATTERS = (0.003, 0.01, 0.03)
"""Luck of a checkpoint as a whole, beside the noise of the examples: standard deviation in nats per token. Never 0: one
point that stands out must not be believed to the last digit."""


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
    return Forecast(step, rate, begun, int(steps[-1]), d_nll)


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
    shapes = [(h, p) for h in STARTS for p in BENDS]
    past = np.array([h <= 1 for h, _ in shapes])
    prior = np.where(past, 0.5 / past.sum(), 0.5 / (~past).sum())
    growths = np.stack([_growth(s, h, p) for h, p in shapes])
    frames, scores = [], []
    for tau in TAUS:
        fall = np.exp(-(s - s[0]) / tau)
        for scatter in SCATTERS:
            covariance = noise + (scatter**2 + 1e-12) * np.eye(len(s)) + 100.0 + np.outer(fall, fall)
            root = np.linalg.cholesky(covariance)
            white = np.linalg.solve(root, np.vstack([nll - nll[-1], fall, growths]).T)
            y, e, g = white[:, 0], white[:, 1], white[:, 2:]
            misfit = y @ y - 2 * RATES[:, None] * (y @ g) + RATES[:, None] ** 2 * (g * g).sum(0)
            scores.append(-0.5 * misfit - np.log(np.diag(root)).sum() + np.log(prior))
            frames.append((tau, y, e, g))
    score = np.stack(scores)
    chance = np.exp(score - score.max()).ravel()
    rng = generator("forecast", seed)
    picked = rng.choice(len(chance), size=draws, p=chance / chance.sum())
    frame, rate, shape = np.unravel_index(picked, score.shape)
    future = np.concatenate([np.linspace(s[0], 1, 200), np.linspace(1, HORIZON, 401)[1:]])
    rising = np.stack([_growth(future, h, p) for h, p in shapes])
    curve = RATES[rate][:, None] * rising[shape]
    for index, (tau, y, e, g) in enumerate(frames):
        here = np.flatnonzero(frame == index)
        residual = y[:, None] - RATES[rate[here]] * g[:, shape[here]]
        spread = np.sqrt(max(1.0 - float(e @ e), 0.0))
        fall = e @ residual + spread * rng.standard_normal(len(here))
        curve[here] += fall[:, None] * np.exp(-(future - s[0]) / tau)
    over = curve - np.minimum.accumulate(curve, axis=1) > d_nll
    return np.where(over.any(1), future[over.argmax(1)], inf)


def _growth(s: Float[np.ndarray, " times"], start: float, bend: float) -> Float[np.ndarray, " times"]:
    return np.maximum(0.0, s - start) ** bend if isfinite(start) else np.zeros_like(s)


def _interval(values: Float[np.ndarray, " draws"], n: int) -> Estimate:
    low, middle, high = np.quantile(values, (0.025, 0.5, 0.975), method="nearest")
    note = "" if isfinite(high) else "the interval has no upper end: it may not come"
    return Estimate(float(middle) if isfinite(middle) else None, float(low), float(high), n, note)
