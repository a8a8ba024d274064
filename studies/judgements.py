"""Runs of a world judged in bulk: what was decided, what was leaned to, and how often that was false."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from overmem import statistics
from overmem.records import Estimate
from overmem.verdict.facts import Facts, facts
from overmem.verdict.leaning import leanings, probabilities
from overmem.verdict.mismatch import mismatch
from overmem.verdict.naming import names
from overmem.verdict.stretches import settled
from studies.memo import cached
from studies.worlds import Truth, World, drawn, truth


@dataclass(frozen=True)
class Judgements:
    """What was found over the runs of one world."""

    world: World
    runs: int
    last: Counter[str]
    """Regime of the last checkpoint -> runs."""
    leaning: Counter[str]
    """Where the last checkpoint was undecided: what it leaned to -> runs."""
    any_false: int
    """Runs in which some checkpoint was called over-memorized that is not."""
    kept: int
    """Runs in which the accuracy of the last checkpoint was called kept."""
    alternating: int
    """Runs in which a decided regime comes, goes and comes back."""

    def rate(self, count: int) -> Estimate:
        """A share of the runs, with Wilson's interval."""
        return statistics.share(count, self.runs)

    def decided(self, *regimes: str) -> int:
        """Runs whose last checkpoint got one of these names."""
        return sum(self.last[r] for r in regimes)

    def decided_or_leaning(self, *regimes: str) -> int:
        """The same, or undecided and leaning to one of them."""
        return self.decided(*regimes) + sum(self.leaning[r] for r in regimes)


def judged(world: World, seed: object) -> Facts:
    """One run of a world, tested."""
    curves = drawn(world, seed, splits=("val", "train"))
    val, train = curves["val"], curves.get("train")
    unlike = world.shift != 0 and bool(mismatch(train, val).differs)
    found = facts(val, train, chance=world.chance, unlike=unlike)
    assert found is not None
    return found


def judgements(world: World, runs: int, folder: Path | None = None) -> Judgements:
    """Judge `runs` seeded runs, or read what was kept in `folder` by the same rule."""
    last, leaning, *rest = cached(folder, (world, runs), lambda: _counts(world, runs))
    return Judgements(world, runs, Counter(last), Counter(leaning), *rest)


def _counts(world: World, runs: int) -> list[Any]:
    true = truth(world)
    last: Counter[str] = Counter()
    leaning: Counter[str] = Counter()
    false, kept, back = 0, 0, 0
    for seed in range(runs):
        tests = judged(world, seed)
        named, _ = settled(names(tests), probabilities(tests))
        last[named[-1]] += 1
        if named[-1] == "undecided":
            leaning[leanings(tests)[-1][0]] += 1
        called = np.array([name == "over-memorized" for name in named])
        false += bool((called & ~true.over_memorized).any())
        kept += bool(tests.accuracy.p_kept[-1] < 0.05)
        back += alternates(named)
    return [last, leaning, false, kept, back]


def alternates(named: tuple[str, ...]) -> bool:
    """Whether a decided regime is left for another decided one and comes back."""
    decided = ["healthy" if n.startswith("healthy") else n for n in named if n != "undecided"]
    runs = [n for i, n in enumerate(decided) if i == 0 or decided[i - 1] != n]
    return len(runs) != len(set(runs))


def right(true: Truth, i: int = -1) -> tuple[str, ...]:
    """The names that are right for a checkpoint: either kind of healthy where memory is not in question."""
    name = true.regimes[i]
    return ("healthy", "healthy-memorizing") if name.startswith("healthy") else (name,)


def loss_in_margins(true: Truth) -> Float[np.ndarray, " checkpoints"]:
    """How much accuracy each checkpoint has lost, in margins."""
    return true.loss / true.margin
