"""How much of an over-memorized stretch is named, where runs are 8 to 20 checkpoints long and checkpoints have luck.

`python -m studies.one_stretch --runs 400` prints the table; in a checkout of another version it prints that rule's.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from overmem.verdict.leaning import probabilities
from overmem.verdict.naming import names
from overmem.verdict.stretches import settled
from studies.judgements import judged
from studies.page import table
from studies.worlds import World, truth

DEMO = World(
    level=0.25,
    rise=0.9,
    growth="saturating",
    turn=0.2,
    settling=0.05,
    learning=0.1,
    top=0.96,
    start=0.5,
    discordance=0.035,
    n=500,
    noise=0.15,
    memory=0.9,
    tokens=60,
)
"""A run like the demo's."""


def cells() -> Mapping[str, World]:
    """Over-memorized runs, and over-fitted ones that are easily taken for them."""
    lucks = (0.0, 0.005, 0.01, 0.02)
    found = {f"demo-like, luck {100 * luck:g} points": replace(DEMO, accuracy_luck=luck) for luck in lucks}
    for count in (8, 10, 14, 20):
        for luck in (0.005, 0.01):
            name = f"over-memorized, n = 500, {count} checkpoints, luck {100 * luck:g} points"
            found[name] = World(n=500, checkpoints=count, accuracy_luck=luck)
    for luck in (0.0, 0.01, 0.02):
        found[f"over-memorized, n = 1,000, 10 checkpoints, luck {100 * luck:g} points"] = World(accuracy_luck=luck)
    for decline, count, luck in (("peak", 10, 0.01), ("peak", 10, 0.02), ("peak", 20, 0.02), ("gathering", 10, 0.02)):
        name = f"over-fitted ({decline}), {count} checkpoints, luck {100 * luck:g} points"
        found[name] = World(loss=0.05, decline=decline, learning=0.03, checkpoints=count, accuracy_luck=luck)
    restarts = World(loss=0.05, decline="gathering", learning=0.03, restarts=0.2, checkpoints=20)
    return found | {"over-fitted (gathering), 20 checkpoints, warm restarts": restarts}


def shares(world: World, runs: int) -> tuple[float, float, float]:
    """Runs called over-memorized at their end, share of such checkpoints that are named, and runs with a false one."""
    earned = truth(world).over_memorized
    at_end, named, false = 0, 0.0, 0
    for seed in range(runs):
        tests = judged(world, seed)
        called = np.array([name == "over-memorized" for name in settled(names(tests), probabilities(tests))[0]])
        at_end += int(called[-1])
        named += float((called & earned).sum()) / max(int(earned.sum()), 1)
        false += bool((called & ~earned).any())
    return at_end / runs, named / runs, false / runs


def stretch_table(runs: int) -> str:
    """A row per world, in percent."""
    rows = [(name, runs, *(f"{100 * share:.1f}" for share in shares(world, runs))) for name, world in cells().items()]
    return table(("run", "runs", "called over-memorized", "of such checkpoints named", "some falsely"), rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    print(stretch_table(parser.parse_args().runs))  # noqa: T201
