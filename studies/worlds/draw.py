"""What a world shows: per-example nll and correctness of val, test and train at the base and at every checkpoint."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri

from overmem.records import Checkpoint, Curves
from overmem.seeds import generator
from studies.trajectories import persistence
from studies.worlds.curves import EPOCHS, STEPS, accuracy, memory, nll, restart_bump
from studies.worlds.truth import times
from studies.worlds.world import World

RATE = 1e-4
BASE_NLL = 3.0
"""Nll of the base model, over the lowest of the run."""


def drawn(world: World, *seed: object, splits: tuple[str, ...] = ("val", "test", "train")) -> dict[str, Curves]:
    """Curves of each split. The luck of a checkpoint is one for all of them: it is a property of its weights."""
    rng = generator("world", *seed)
    luck = world.nll_luck * rng.standard_normal(world.checkpoints)
    lucky = world.accuracy_luck * rng.standard_normal(world.checkpoints)
    return {split: _split(rng, world, split, luck, lucky) for split in splits if split != "train" or world.train}


@lru_cache(maxsize=512)
def _checkpoints(count: int, base: bool) -> tuple[Checkpoint, ...]:
    trained = tuple(
        Checkpoint(f"checkpoint-{round(t * STEPS)}", round(t * STEPS), EPOCHS * t, RATE * STEPS * t)
        for t in (np.arange(1, count + 1) / count).tolist()
    )
    return (Checkpoint("base", 0), *trained) if base else trained


def _split(
    rng: np.random.Generator,
    world: World,
    split: str,
    luck: Float[np.ndarray, " checkpoints"],
    lucky: Float[np.ndarray, " checkpoints"],
) -> Curves:
    t = times(world)
    surprise = nll(world, t) * (1 + restart_bump(world, t)) * np.exp(luck)
    right = accuracy(world, t) + lucky
    ratio = 1.0
    if split == "train":
        surprise = surprise * (1 - memory(world, t))
        right = np.maximum(right, right + (1 - right) * memory(world, t))
    else:
        ratio = float(np.exp(world.shift))
        surprise = surprise * ratio
    if world.base:
        surprise = np.insert(surprise, 0, BASE_NLL * world.level * ratio)
        right = np.insert(right, 0, world.start / 2)
    questions = -(-world.n // world.rows_per_question)
    group = np.repeat(np.arange(questions), world.rows_per_question)[: world.n]
    sums, tokens = _nll(rng, world, surprise, group)
    correct = _correct(rng, world, right, group)
    groups = group if world.rows_per_question > 1 else None
    return Curves(_checkpoints(world.checkpoints, world.base), sums, tokens, correct, groups=groups)


def _nll(
    rng: np.random.Generator,
    world: World,
    surprise: Float[np.ndarray, " checkpoints"],
    group: Int[np.ndarray, " examples"],
) -> tuple[Float[np.ndarray, "checkpoints examples"], Int[np.ndarray, " examples"]]:
    n, count, questions = world.n, len(surprise), int(group[-1]) + 1
    spread, unevenness = (0.6, 1.2) if world.heavy else (0.3, 0.8)
    factor = rng.lognormal(-0.5 * spread**2, spread, questions)[group]
    uneven = rng.lognormal(-0.5 * unevenness**2, unevenness, questions)[group]
    tokens = np.maximum(rng.lognormal(np.log(world.tokens) - 0.125, 0.5, questions), 8)[group].astype(np.int64)
    shape = (count, questions)
    noise = rng.standard_t(3, shape) / np.sqrt(3) if world.heavy else rng.standard_normal(shape)
    lowest = float(surprise.min())
    per_token = lowest * factor + (surprise - lowest)[:, None] * uneven + world.noise * lowest * noise[:, group]
    if world.rows_per_question > 1:
        per_token += 0.3 * world.noise * lowest * rng.standard_normal((count, n))
    return np.maximum(per_token, 0.0) * tokens, tokens


def _correct(
    rng: np.random.Generator,
    world: World,
    right: Float[np.ndarray, " checkpoints"],
    group: Int[np.ndarray, " examples"],
) -> Float[np.ndarray, "checkpoints examples"]:
    count, questions = len(right), int(group[-1]) + 1
    open_share = 1 - world.easy - world.hard
    chance = np.clip((right - world.easy) / open_share, 0.0, 1.0)
    trained = chance[1:] if world.base else chance
    top = float(np.clip(np.round(trained.max(), 2), 0.02, 0.98))
    r = persistence(top, min(world.discordance / open_share, 1.8 * top * (1 - top)))
    angle = 0.5 * np.pi * world.drift * np.linspace(0, 1, count)[:, None]
    first, second = rng.standard_normal((2, 1, questions))
    kept = np.cos(angle) * first + np.sin(angle) * second
    latent = np.sqrt(r) * kept + np.sqrt(1 - r) * rng.standard_normal((count, questions))
    answers = latent < ndtri(chance)[:, None]
    kind = rng.random(questions)
    answers = np.where(kind < world.easy, True, np.where(kind > 1 - world.hard, False, answers))
    return answers[:, group].astype(np.float64)
