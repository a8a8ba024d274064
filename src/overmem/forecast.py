"""When over-memorization will begin, from the checkpoints so far: an interval from a stated model. Pure.

The model: nll(s) = a + b exp(-s / tau) + g max(0, s - h), a decay and a linear growth in cumulative learning rate s
(in steps where the rate is not known). tau and h come from a grid, a, b and g by least squares. Each bootstrap
resample of the examples chooses its own tau and h, so the interval holds the doubt about the model's shape as well.
Its record on simulated runs stands in docs/results/verdict.md.
"""

from dataclasses import dataclass
from math import inf, isfinite

import numpy as np
from jaxtyping import Float

from overmem import stats
from overmem.records import Curves, Estimate

HORIZON = 5.0
"""A crossing is looked for up to this many times the progress so far."""
FEWEST = 5


@dataclass(frozen=True)
class Forecast:
    """When the nll will have risen by d_nll above its minimum, if training goes on as it did."""

    step: Estimate
    """A high end that is infinite: it may never come, within HORIZON times the run so far."""
    cumulative_lr: Estimate
    begun: bool
    """It has been passed already."""
    sentence: str


def forecast(curves: Curves, *, d_nll: float = 0.05, draws: int = 300, seed: int = 0) -> Forecast:
    """The step at which perplexity becomes costly, with a 95% interval; no value where too little is known."""
    rows = [i for i, c in enumerate(curves.checkpoints) if np.isfinite(curves.nll_sums[i]).any() and c.step > 0]
    kept = np.isfinite(curves.nll_sums[rows]).all(0) if rows else np.zeros(0, dtype=bool)
    n = int(kept.sum())
    if len(rows) < FEWEST or n < 2:
        why = f"a forecast needs {FEWEST} evaluated checkpoints, there are {len(rows)}"
        return Forecast(Estimate(None, n=n, note=why), Estimate(None, n=n, note=why), False, _capital(why) + ".")
    steps = np.array([curves.checkpoints[i].step for i in rows], dtype=np.float64)
    rates = [curves.checkpoints[i].cumulative_lr for i in rows]
    known = all(r is not None for r in rates)
    progress = np.array(rates, dtype=np.float64) if known else steps
    if not (np.diff(progress) > 0).all():
        progress, known = steps, False
    sums, tokens = curves.nll_sums[rows][:, kept], curves.token_counts[kept].astype(np.float64)
    weights = np.vstack([np.ones(n), stats.bootstrap_weights(n, draws, "forecast", seed)])
    nll = (weights @ sums.T) / (weights @ tokens)[:, None]
    crossed = crossing(progress / progress[-1], nll, d_nll)
    begun = bool(np.mean(crossed <= 1.0) > 0.975)
    per_step = (progress[-1] - progress[-2]) / (steps[-1] - steps[-2])
    at_step = np.where(
        crossed <= 1,
        np.interp(crossed, progress / progress[-1], steps),
        steps[-1] + (crossed - 1) * progress[-1] / per_step,
    )
    step = _interval(at_step, n)
    rate = _interval(crossed * progress[-1], n) if known else Estimate(None, n=n, note="learning rates are not known")
    return Forecast(step, rate, begun, _sentence(step, begun, int(steps[-1]), d_nll))


def crossing(
    s: Float[np.ndarray, " checkpoints"], nll: Float[np.ndarray, "draws checkpoints"], d_nll: float
) -> Float[np.ndarray, " draws"]:
    """Where the fitted curve of each draw has risen by d_nll above its minimum; infinite beyond the horizon."""
    hinges = [0.0, *s[1:-2].tolist()] if len(s) > FEWEST else [0.0, float(s[len(s) // 2])]
    designs = [(tau, h) for tau in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8) for h in hinges]
    future = np.concatenate([np.linspace(0, 1, 201)[1:], np.linspace(1, HORIZON, 401)[1:]])
    future = future[future >= s[0]]
    best = np.full(len(nll), inf)
    curve = np.zeros((len(nll), len(future)))
    for tau, h in designs:
        x = _features(s, tau, h)
        solve = np.linalg.pinv(x, rcond=1e-8)
        coefficients = nll @ solve.T
        error = ((nll - coefficients @ x.T) ** 2).sum(1)
        better = error < best
        best = np.where(better, error, best)
        curve[better] = coefficients[better] @ _features(future, tau, h).T
    low = np.minimum.accumulate(curve, axis=1)
    over = curve - low > d_nll
    return np.where(over.any(1), future[over.argmax(1)], inf)


def _features(s: Float[np.ndarray, " times"], tau: float, hinge: float) -> Float[np.ndarray, "times terms"]:
    return np.stack([np.ones_like(s), np.exp(-s / tau), np.maximum(0.0, s - hinge)], axis=1)


def _interval(values: Float[np.ndarray, " draws"], n: int) -> Estimate:
    low, middle, high = np.quantile(values[1:], (0.025, 0.5, 0.975), method="nearest")
    note = "" if isfinite(high) else "the interval has no upper end: it may not come"
    return Estimate(float(middle) if isfinite(middle) else None, float(low), float(high), n, note)


def _sentence(step: Estimate, begun: bool, now: int, d_nll: float) -> str:
    if begun and step.value is not None:
        return (
            f"Perplexity has already risen by {d_nll:g} nats per token above its minimum, near step {step.value:,.0f}."
        )
    if step.low is None or not isfinite(step.low):
        return f"No rise of {d_nll:g} nats per token is in sight up to step {HORIZON * now:,.0f}."
    until = f"{step.high:,.0f}" if step.high is not None and isfinite(step.high) else "later or never"
    return (
        f"If training goes on as it did, perplexity will be {d_nll:g} nats per token above its minimum "
        f"between step {step.low:,.0f} and {until} (95% interval, n = {step.n:,})."
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
