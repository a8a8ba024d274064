"""Simulated runs with known truth: per-example correctness and nll along checkpoints, for every regime.

The population curves (accuracy and nll at each step) are the truth. An example's correctness at a checkpoint is a
Gaussian latent below a threshold: a part that the example keeps for the whole run, and a part drawn independently at
each checkpoint, balanced so that two checkpoints of one plateau differ on a given share of answers (the discordance).
Its nll per token is the population's times an example factor, plus an excess that falls unevenly on examples, plus
noise.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from overmem.records import Checkpoint, Curves
from overmem.seeds import generator

Shape = Callable[[Float[np.ndarray, " times"]], tuple[Float[np.ndarray, " times"], Float[np.ndarray, " times"]]]
"""Training time in (0, 1] -> accuracy, nll."""


@dataclass(frozen=True)
class World:
    """How noisy a run is, and how it is evaluated."""

    shape: str = "over-memorized"
    n: int = 1000
    """Validation examples; as many test examples can be drawn."""
    checkpoints: int = 10
    discordance: float = 0.10
    """Share of answers that differ between two checkpoints of equal accuracy."""
    excess: float = 0.15
    """Nats per token that perplexity has risen by at the end, where the shape has a rise."""
    loss: float = 0.05
    """Accuracy lost at the end, where the shape has a loss."""
    noise: float = 0.10
    """Standard deviation of an example's nll per token from checkpoint to checkpoint, in nats."""
    steps: int = 1000
    learning_rate: float = 1e-4


def _rise(t: np.ndarray, start: float) -> np.ndarray:
    return np.asarray(np.clip((t - start) / (1 - start), 0, None))


def _learned(t: np.ndarray, speed: float = 0.07) -> np.ndarray:
    return np.asarray(0.80 - 0.5 * np.exp(-t / speed))


def _settled(t: np.ndarray) -> np.ndarray:
    return np.asarray(0.40 + 0.35 * np.exp(-t / 0.06))


def shapes(world: World) -> Mapping[str, Shape]:
    """Every population curve, by name. The limits of the rule (0.05 nats, margin) are what the names refer to."""
    e, loss = world.excess, world.loss
    return {
        "healthy": lambda t: (_learned(t), _settled(t) + 0.02 * _rise(t, 0.3)),
        "healthy, excess just below the limit": lambda t: (_learned(t), _settled(t) + 0.045 * _rise(t, 0.3)),
        "flat": lambda t: (np.full_like(t, 0.8), np.full_like(t, 0.4)),
        "under-trained": lambda t: (0.3 + 0.45 * t, 0.9 - 0.4 * t),
        "over-memorized": lambda t: (_learned(t), _settled(t) + e * _rise(t, 0.3)),
        "over-memorized, accuracy still creeping up": lambda t: (
            _learned(t) + 0.02 * _rise(t, 0.3),
            _settled(t) + e * _rise(t, 0.3),
        ),
        "over-memorized from the first step": lambda t: (_learned(t), 0.4 + e * t),
        "over-memorized, minimum before the accuracy": lambda t: (
            0.8 - 0.5 * np.exp(-t / 0.2),
            0.4 + 0.35 * np.exp(-t / 0.03) + e * _rise(t, 0.1),
        ),
        "over-fitted": lambda t: (
            _learned(t, speed=0.03) - loss * np.clip(_rise(t, 0.3) * e / 0.05, 0, 1),
            _settled(t) + e * _rise(t, 0.3),
        ),
        "over-fitted, steadily": lambda t: (
            _learned(t, speed=0.03) - loss * _rise(t, 0.3) * e / 0.05,
            _settled(t) + e * _rise(t, 0.3),
        ),
        "over-fitted after a peak": lambda t: (
            _learned(t, speed=0.03) - loss + loss * np.exp(-(((t - 0.3) / 0.08) ** 2)),
            _settled(t) + e * _rise(t, 0.3),
        ),
        "only worse": lambda t: (0.8 - 0.4 * t, 0.4 + 2 * e * t),
    }


@lru_cache(maxsize=256)
def persistence(accuracy: float, discordance: float) -> float:
    """Correlation of the latents of two checkpoints that makes this share of answers differ between them."""
    from scipy.optimize import brentq
    from scipy.stats import multivariate_normal

    threshold = float(ndtri(accuracy))

    def excess(r: float) -> float:
        both = multivariate_normal.cdf([threshold, threshold], cov=[[1, r], [r, 1]])
        return 2 * (accuracy - float(both)) - discordance

    low, high = 0.0, 1 - 1e-6
    if excess(low) <= 0:
        return low
    return float(brentq(excess, low, high, xtol=1e-4))


@dataclass(frozen=True)
class Truth:
    """The population curves of a simulated run, at its checkpoints and in between."""

    steps: Float[np.ndarray, " checkpoints"]
    accuracy: Float[np.ndarray, " checkpoints"]
    nll: Float[np.ndarray, " checkpoints"]
    onset: float | None
    """The step at which the nll passes its minimum by d_nll for good, with the accuracy within the margin."""


def truth(world: World, *, d_nll: float = 0.05, margin: float = 0.03) -> Truth:
    """What is true of the run; the onset is where the continuous curve passes the limits.

    The limits are counted from the best of the run's own checkpoints, as a user counts them: what the curve does
    unseen, between two checkpoints, moves neither the minimum nor the best accuracy.
    """
    shape = shapes(world)[world.shape]
    times = np.arange(1, world.checkpoints + 1) / world.checkpoints
    accuracy, nll = shape(times)
    fine = np.linspace(1 / world.checkpoints, 1, 5001)
    right, surprise = shape(fine)
    costly = (surprise > nll.min() + d_nll) & (fine > times[nll.argmin()])
    both = costly & (right > accuracy.max() - margin)
    onset = None
    if both[-1]:
        start = len(both) - int((~both[::-1]).argmax()) if (~both).any() else 0
        onset = float(fine[start] * world.steps)
    return Truth(times * world.steps, accuracy, nll, onset)


def simulated(world: World, *seed: object, splits: int = 1) -> tuple[Curves, ...]:
    """One run as `splits` independent sets of examples see it (val and test, say)."""
    shape = shapes(world)[world.shape]
    times = np.arange(1, world.checkpoints + 1) / world.checkpoints
    accuracy, nll = shape(times)
    rng = generator("trajectory", *seed)
    rate = np.cumsum(np.full(world.checkpoints, world.learning_rate * world.steps / world.checkpoints))
    checkpoints = tuple(
        Checkpoint(f"checkpoint-{step}", step, 10 * t, float(lr))
        for step, t, lr in zip((times * world.steps).astype(int).tolist(), times.tolist(), rate.tolist(), strict=True)
    )
    return tuple(_watched(rng, world, checkpoints, accuracy, nll) for _ in range(splits))


def _watched(
    rng: np.random.Generator,
    world: World,
    checkpoints: tuple[Checkpoint, ...],
    accuracy: Float[np.ndarray, " checkpoints"],
    nll: Float[np.ndarray, " checkpoints"],
) -> Curves:
    n, count = world.n, len(checkpoints)
    r = persistence(float(np.clip(np.round(accuracy.max(), 2), 0.01, 0.99)), world.discordance)
    latent = np.sqrt(r) * rng.standard_normal((1, n)) + np.sqrt(1 - r) * rng.standard_normal((count, n))
    correct = (latent < ndtri(np.clip(accuracy, 0.0, 1.0))[:, None]).astype(np.float64)
    tokens = np.maximum(rng.lognormal(4.2, 0.5, n), 8).astype(np.int64)
    factor = rng.lognormal(-0.5 * 0.3**2, 0.3, n)
    lowest = float(nll.min())
    uneven = rng.lognormal(-0.5 * 0.8**2, 0.8, n)
    per_token = lowest * factor + (nll - lowest)[:, None] * uneven + world.noise * rng.standard_normal((count, n))
    return Curves(checkpoints, np.maximum(per_token, 0.0) * tokens, tokens, correct)
