"""The five seeds: the sweep trains what the demo trains, and a seed counts only if all three stages show."""

from dataclasses import replace

import pytest

from overmem.demo import Demo, recipe
from overmem.records import Checkpoint, CheckpointVerdict, Estimate, Verdict
from overmem.sweep.conditions import read_planned
from studies import demo_seeds


def checkpoint(step, accuracy, regime):
    nothing = Estimate(None)
    accuracies = Estimate(accuracy, accuracy - 0.02, accuracy + 0.02, 500)
    where = Checkpoint(f"checkpoint-{step}", step, step / 25)
    return CheckpointVerdict(where, regime, Estimate(0.2, 0.1, 0.3, 500), accuracies, nothing, nothing, None, None)


def verdict(*checkpoints):
    return Verdict(checkpoints[-1].regime, "", (), checkpoints, None, None, None, ())


STAGES = (checkpoint(0, 0.1, "under-trained"), checkpoint(100, 0.9, "healthy"), checkpoint(400, 0.9, "over-memorized"))


def test_the_sweep_trains_what_the_demo_trains():
    sweep, runs = read_planned("studies/demo_seeds.yaml")
    for planned, seed in zip(runs, sweep.seeds, strict=True):
        assert replace(planned.recipe, output="") == replace(recipe(Demo(seed=seed)), output="")


def test_low_then_high_then_over_memorized_are_three_stages():
    assert demo_seeds.shows_three_stages(verdict(*STAGES))
    merge = replace(STAGES[1], checkpoint=replace(STAGES[1].checkpoint, name="merge", merged_from=("a", "b")))
    assert demo_seeds.shows_three_stages(verdict(*STAGES, merge))


@pytest.mark.parametrize(
    "checkpoints",
    [
        (checkpoint(0, 0.5, "under-trained"), *STAGES[1:]),
        (STAGES[0], checkpoint(100, 0.8, "healthy"), STAGES[2]),
        (STAGES[0], checkpoint(100, 0.9, "undecided"), STAGES[2]),
        (*STAGES[:2], checkpoint(400, 0.9, "undecided")),
        STAGES[1:],
    ],
)
def test_a_stage_that_is_missing_is_not_counted(checkpoints):
    assert not demo_seeds.shows_three_stages(verdict(*checkpoints))
    assert demo_seeds.row(0, verdict(*checkpoints))[-1] == "**no**"
