"""What each selection rule loses in every world: its picks priced by the truth, the luck of checkpoints included.

The luck of a checkpoint is a property of its weights: whoever ships it, ships its luck. So the truth that a pick is
priced by is that of the checkpoint itself, and what a rule must not be taken in by is the luck of the examples.

`python -m studies.advice` prints the table.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from overmem import statistics
from overmem.records import Curves
from overmem.seeds import generator
from overmem.verdict.candidates import selection_inputs
from overmem.verdict.selection import SELECTION_RULES
from studies.memo import cached
from studies.page import table
from studies.stopping import early_stopping, finetune_doctor
from studies.worlds import World, drawn, truth
from studies.worlds.curves import nll
from studies.worlds.kinds import SHAPES

CONDITIONS = {
    "as it comes": {},
    "n = 200": {"n": 200},
    "nll luck 5%": {"nll_luck": 0.05},
    "accuracy luck of 1 point": {"accuracy_luck": 0.01},
    "accuracy luck of 2 points": {"accuracy_luck": 0.02},
    "drifting questions": {"drift": 0.5},
    "ten rows per question": {"rows_per_question": 10, "n": 2000},
    "ceiling": {"top": 0.97, "discordance": 0.03},
    "20 checkpoints": {"checkpoints": 20},
}
"""Ways in which runs differ that bear on the choice."""
SOURCES = (
    "src/overmem/verdict/candidates.py",
    "src/overmem/verdict/selection.py",
    "src/overmem/verdict/luck.py",
    "studies/advice.py",
    "studies/stopping.py",
    "studies/worlds/draw.py",
    "studies/worlds/curves.py",
    "studies/worlds/truth.py",
    "studies/worlds/world.py",
)
D_NLL = 0.06


def true_values(world: World, *seed: object) -> tuple[Float[np.ndarray, " checkpoints"], ...]:
    """True accuracy and nll of each checkpoint, its luck included: that of `drawn` with the same seed."""
    rng = generator("world", *seed)
    luck = world.nll_luck * rng.standard_normal(world.checkpoints)
    lucky = world.accuracy_luck * rng.standard_normal(world.checkpoints)
    true = truth(world)
    return np.clip(true.accuracy + lucky, 0, 1), nll(world, true.steps / true.steps[-1]) * np.exp(luck)


def without_base(curves: Curves) -> Curves:
    """The trained checkpoints alone."""
    return replace(curves, checkpoints=curves.checkpoints[1:], nll_sums=curves.nll_sums[1:], correct=curves.correct[1:])


def regrets(world: World, runs: int, python: str | None = None) -> dict[str, list[list[float]]]:
    """Rule -> for each run the accuracy lost against the best checkpoint, and the nll of the pick."""
    values = [true_values(world, "advice", seed) for seed in range(runs)]
    val_curves = [without_base(drawn(world, "advice", seed, splits=("val",))["val"]) for seed in range(runs)]
    boards = [selection_inputs(curves) for curves in val_curves]
    picks = {rule: [pick(board, D_NLL) for board in boards] for rule, pick in SELECTION_RULES.items()}
    picks |= early_stopping(val_curves)
    if python is not None:
        picks |= finetune_doctor(val_curves, python)
    return {
        rule: [[float(a.max() - a[i]), float(s[i])] for (a, s), i in zip(values, rows, strict=True)]
        for rule, rows in picks.items()
    }


def cells() -> dict[tuple[str, str], World]:
    """Every kind of run under every condition."""
    return {
        (condition, kind): replace(world, **changes)  # type: ignore[arg-type]
        for condition, changes in CONDITIONS.items()
        for kind, world in SHAPES.items()
    }


def measured(runs: int, folder: Path | None, python: str | None) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """Regret and nll of every rule in every cell."""
    regret_by_world = {}
    for place, world in cells().items():
        key = ("advice", world, runs, python is not None)
        kept = cached(folder, key, partial(regrets, world, runs, python), SOURCES)
        regret_by_world[place] = {rule: np.array(rows) for rule, rows in kept.items()}
    return regret_by_world


def advice_table(runs: int, folder: Path | None = None, python: str | None = None) -> str:
    """A row per condition, the mean over kinds of run; and what each rule loses more than ours, paired."""
    regret_by_world = measured(runs, folder, python)
    rules = list(next(iter(regret_by_world.values())))
    rows, pairs, kinds = [], [], []
    for condition in CONDITIONS:
        cells = [cell for (c, _), cell in regret_by_world.items() if c == condition]
        rows.append((condition, *(_mean([cell[r][:, 0] for cell in cells]) for r in rules)))
        pairs.append(
            (
                condition,
                *(_mean([cell[r][:, 0] - cell["overmem"][:, 0] for cell in cells]) for r in rules if r != "overmem"),
                _nll([cell["max-accuracy"][:, 1] - cell["overmem"][:, 1] for cell in cells]),
            )
        )
    for kind in SHAPES:
        cells = [cell for (_, k), cell in regret_by_world.items() if k == kind]
        others = [r for r in rules if r != "overmem"]
        kinds.append((kind, *(_mean([cell[r][:, 0] - cell["overmem"][:, 0] for cell in cells]) for r in others)))
    others = [r for r in rules if r != "overmem"]
    return "\n\n".join(
        (
            table(("points lost", *rules), rows),
            "What each rule loses more than `overmem`, paired on the same runs (positive: `overmem` loses less):",
            table(("points", *others, "nll of max-accuracy less ours"), pairs),
            "The same by kind of run, over all conditions:",
            table(("points", *others), kinds),
        )
    )


def _mean(cells_: list[np.ndarray]) -> str:
    value = 100 * np.mean([c.mean() for c in cells_])
    error = 100 * np.sqrt(sum(c.var(ddof=1) / len(c) for c in cells_)) / len(cells_)
    return f"{value:.2f} ± {statistics.Z * error:.2f}"


def _nll(cells_: list[np.ndarray]) -> str:
    value = np.mean([c.mean() for c in cells_])
    error = np.sqrt(sum(c.var(ddof=1) / len(c) for c in cells_)) / len(cells_)
    return f"{value:.4f} ± {statistics.Z * error:.4f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--finetune-doctor", metavar="PYTHON")
    options = parser.parse_args()
    print(advice_table(options.runs, None, options.finetune_doctor))  # noqa: T201


if __name__ == "__main__":
    main()
