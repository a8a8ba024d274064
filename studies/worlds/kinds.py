"""The worlds that the rule is held to, by family, and worlds drawn at random."""

from collections.abc import Mapping
from dataclasses import replace

from overmem.seeds import generator
from studies.worlds.world import World

OVER = World()
FLAT = World("flat", rise=0.0)
HEALTHY = World("healthy", rise=0.05)

SHAPES: Mapping[str, World] = {
    "over-memorized": OVER,
    "over-memorized, accuracy creeping up": replace(OVER, creep=0.02),
    "over-memorized from the first step": replace(OVER, growth="early", settling=0.02, turn=0.0),
    "over-memorized, trough before the accuracy": replace(OVER, learning=0.2, settling=0.03, turn=0.1),
    "healthy": HEALTHY,
    "healthy, rise just below the limit": replace(HEALTHY, rise=0.1125),
    "flat": FLAT,
    "under-trained": replace(FLAT, learning=0.8, settling=0.5),
    "over-fitted": replace(OVER, loss=0.05, decline="soon", learning=0.03),
    "over-fitted, steadily": replace(OVER, loss=0.05, decline="steady", learning=0.03),
    "over-fitted, gathering speed": replace(OVER, loss=0.05, decline="gathering", learning=0.03),
    "over-fitted after a peak": replace(OVER, loss=0.05, decline="peak", learning=0.03),
    "only worse": replace(OVER, loss=0.4, decline="steady", turn=0.0, learning=0.01, growth="early", settling=0.02),
}
"""Kinds of run, without luck."""

CONDITIONS: Mapping[str, Mapping[str, object]] = {
    "as it comes": {},
    "nll luck 5%": {"nll_luck": 0.05},
    "accuracy luck of 1 point": {"accuracy_luck": 0.01},
    "accuracy luck of 2 points": {"accuracy_luck": 0.02},
    "ten rows per question": {"rows_per_question": 10, "n": 2000},
    "drifting questions": {"drift": 0.5},
    "easy and hard questions": {"easy": 0.3, "hard": 0.08},
    "heavy tails": {"heavy": True},
    "warm restarts": {"restarts": 0.2, "checkpoints": 20},
    "steps at epochs": {"growth": "steps", "checkpoints": 20},
    "saturating growth": {"growth": "saturating"},
    "2 checkpoints": {"checkpoints": 2},
    "5 checkpoints": {"checkpoints": 5},
    "20 checkpoints": {"checkpoints": 20},
    "50 checkpoints": {"checkpoints": 50, "n": 500},
    "200 checkpoints": {"checkpoints": 200, "n": 300},
    "50 checkpoints, nll luck 5%": {"checkpoints": 50, "n": 500, "nll_luck": 0.05},
    "200 checkpoints, nll luck 5%": {"checkpoints": 200, "n": 300, "nll_luck": 0.05},
    "ceiling": {"top": 0.97, "discordance": 0.03},
    "guessing among four": {"top": 0.27, "start": 0.24, "discordance": 0.3, "chance": 0.25},
    "right in 6%": {"top": 0.06, "start": 0.02, "discordance": 0.03},
    "val in other words than train": {"shift": 0.3},
    "val in other words, no memory": {"shift": 0.3, "memory": 0.0},
    "template of 0.03 nats per token": {"level": 0.03, "tokens": 100.0},
    "chains of 1,500 tokens": {"tokens": 1500.0, "level": 0.25},
    "free text of 2.2 nats per token": {"level": 2.2},
    "no memory": {"memory": 0.0},
    "a little memory": {"memory": 0.35},
}
"""Ways in which runs differ, each laid over every kind of run."""


def random_world(*seed: object) -> World:
    """A world drawn from all of the above."""
    rng = generator("random world", *seed)
    decline = str(rng.choice(["none", "none", "none", "soon", "steady", "gathering", "peak"]))
    slow = rng.random() < 0.15
    return World(
        "random",
        learning=float(rng.uniform(0.02, 0.2) if not slow else rng.uniform(0.4, 1.2)),
        settling=float(rng.uniform(0.02, 0.2) if not slow else rng.uniform(0.3, 1.0)),
        top=float(rng.uniform(0.3, 0.95)),
        start=float(rng.uniform(0.05, 0.3)),
        creep=float(rng.uniform(0, 0.03)) if rng.random() < 0.3 else 0.0,
        loss=float(rng.uniform(0.01, 0.12)) if decline != "none" else 0.0,
        decline=decline,
        level=float(rng.choice([0.03, 0.2, 0.4, 0.8, 2.2])),
        rise=float(rng.choice([0.0, rng.uniform(0, 0.15), rng.uniform(0.15, 0.8)])),
        growth=str(rng.choice(["linear", "saturating", "steps", "early"])),
        turn=float(rng.uniform(0.1, 0.5)),
        memory=float(rng.choice([0.0, rng.uniform(0, 0.5), rng.uniform(0.5, 0.95), 0.9])),
        tokens=float(rng.choice([40.0, 75.0, 150.0, 600.0])),
        n=int(rng.choice([200, 300, 500, 1000])),
        checkpoints=int(rng.choice([4, 6, 8, 10, 15, 20, 40])),
        discordance=float(rng.uniform(0.03, 0.2)),
        noise=float(rng.uniform(0.05, 0.4)),
        nll_luck=float(rng.choice([0.0, rng.uniform(0, 0.06)])),
        accuracy_luck=float(rng.choice([0.0, rng.uniform(0, 0.02)])),
        rows_per_question=int(rng.choice([1, 1, 1, 4])),
        drift=float(rng.choice([0.0, 0.0, 0.4])),
        heavy=bool(rng.random() < 0.2),
    )
