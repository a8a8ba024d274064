"""The population curves of a world: accuracy, nll and memory at each time, without luck."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

from studies.worlds.world import World

Times = Float[np.ndarray, " times"]

STEPS = 1000
"""Optimizer steps of a simulated run."""
EPOCHS = 10
RESTARTS = 4
"""Cycles of the learning rate, where there are warm restarts."""


def ramp(t: Times, turn: float) -> Times:
    """0 until `turn`, then straight up to 1 at the end."""
    return np.asarray(np.clip((t - turn) / (1 - turn), 0, None))


GROWTHS: Mapping[str, Callable[[Times, float], Times]] = {
    "linear": ramp,
    "saturating": lambda t, turn: (1 - np.exp(-ramp(t, turn) / 0.25)) / (1 - np.exp(-4)),
    "steps": lambda t, turn: np.floor(ramp(t, turn) * (EPOCHS / 2) + 1e-9) / (EPOCHS / 2),
    "early": lambda t, turn: t,
}
"""How the nll rises, from 0 to 1."""

DECLINES: Mapping[str, Callable[[Times, float], Times]] = {
    "none": lambda t, turn: np.zeros_like(t),
    "soon": lambda t, turn: np.clip(3 * ramp(t, turn), 0, 1),
    "steady": ramp,
    "gathering": lambda t, turn: ramp(t, turn) ** 2,
    "peak": lambda t, turn: 1 - np.exp(-(((t - turn) / 0.08) ** 2)),
}
"""How accuracy is lost, from 0 to 1."""


def accuracy(world: World, t: Times) -> Times:
    """Population accuracy."""
    learned = world.top - (world.top - world.start) * np.exp(-t / world.learning)
    after = world.creep * ramp(t, world.turn) - world.loss * DECLINES[world.decline](t, world.turn)
    return np.asarray(np.clip(learned + after, 0.0, 1.0))


def nll(world: World, t: Times) -> Times:
    """Population nll of val, in nats per token."""
    falling = 0.9 * np.exp(-t / world.settling)
    return np.asarray(world.level * (1 + falling + world.rise * GROWTHS[world.growth](t, world.turn)))


def memory(world: World, t: Times) -> Times:
    """Population memory: it begins after the first pass and levels off."""
    return np.asarray(world.memory * np.clip((t - 1 / EPOCHS) / 0.4, 0, 1))


def restart_bump(world: World, t: Times) -> Times:
    """Relative rise of the nll just after each warm restart; it passes, and is no part of the trend."""
    phase = np.mod(t * RESTARTS - 1e-9, 1.0)
    return np.where(t * RESTARTS > 1, world.restarts * np.exp(-phase / 0.3), 0.0)
