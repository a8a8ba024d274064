"""What is true of a world: of each checkpoint by the trend, luck left out."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from studies.worlds.curves import STEPS, accuracy, memory, nll
from studies.worlds.world import World


@dataclass(frozen=True)
class Truth:
    """The trend at the checkpoints, and the names that it earns."""

    steps: Float[np.ndarray, " checkpoints"]
    accuracy: Float[np.ndarray, " checkpoints"]
    nll: Float[np.ndarray, " checkpoints"]
    memory: Float[np.ndarray, " checkpoints"]
    loss: Float[np.ndarray, " checkpoints"]
    """Accuracy below the best checkpoint."""
    rise: Float[np.ndarray, " checkpoints"]
    """Nll over that of the trough, minus 1; 0 before it."""
    costly: Bool[np.ndarray, " checkpoints"]
    kept: Bool[np.ndarray, " checkpoints"]
    """Within the margin of the best; nowhere where the run only guesses."""
    memorized: Bool[np.ndarray, " checkpoints"]
    margin: float
    onset: float | None
    """Step at which rise and nats per solution have both passed their limits for good, with accuracy kept."""
    regimes: tuple[str, ...]

    @property
    def over_memorized(self) -> Bool[np.ndarray, " checkpoints"]:
        """Where the name is earned."""
        return np.asarray(self.costly & self.kept & self.memorized)


def times(world: World) -> Float[np.ndarray, " checkpoints"]:
    """Training times of the trained checkpoints, in (0, 1]."""
    return np.arange(1, world.checkpoints + 1) / world.checkpoints


def truth(world: World, *, rise: float = 0.15, nats: float = 0.5, margin: float = 0.03) -> Truth:
    """The truth about the checkpoints, counted from the best of the run's own checkpoints."""
    t = times(world)
    right, surprise, mu = accuracy(world, t), nll(world, t), memory(world, t)
    margin = min(margin, 0.1 * float(right.max()))
    trough = int(surprise.argmin())

    def costs(values: np.ndarray) -> np.ndarray:
        above = values - surprise[trough]
        return np.asarray((above > rise * surprise[trough]) & (above * world.tokens > nats))

    costly = costs(surprise) & (t > t[trough])
    solvable = bool(right.max() > world.chance + margin)
    kept = (right > right.max() - margin) & solvable
    memorized = mu > 0.5
    fine = np.linspace(t[0], 1, 5001)
    both = costs(nll(world, fine)) & (fine > t[trough]) & (accuracy(world, fine) > right.max() - margin) & solvable
    onset = None
    if both[-1]:
        first = len(both) - int((~both[::-1]).argmax()) if (~both).any() else 0
        onset = float(fine[first] * STEPS)
    later = np.maximum.accumulate(right[::-1])[::-1]
    falling = costs(surprise) & (t < t[trough])
    climbing = right - accuracy(world, np.maximum(t[trough] + (t - t[trough]) * 2 / 3, t[0])) > margin
    names = tuple(
        _named(c, k, m, bool(later[i] > right[i] + margin), bool(falling[i]), bool(climbing[i]))
        if solvable
        else "undecided"
        for i, (c, k, m) in enumerate(zip(costly, kept, memorized, strict=True))
    )
    relative = np.where(t > t[trough], surprise / surprise[trough] - 1, 0.0)
    return Truth(
        t * STEPS, right, surprise, mu, right.max() - right, relative, costly, kept, memorized, margin, onset, names
    )


def _named(costly: bool, kept: bool, memorized: bool, better_to_come: bool, falling: bool, climbing: bool) -> str:
    if not kept and better_to_come:
        return "still-learning" if costly else "under-trained"
    if not kept:
        return "over-fitted" if costly else "undecided"
    if falling:
        return "under-trained"
    if costly and climbing:
        return "still-learning"
    if costly:
        return "over-memorized" if memorized else "risen-not-memorized"
    return "healthy-memorizing" if memorized else "healthy"
