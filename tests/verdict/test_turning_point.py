"""Where a logged loss turned, and since when it has been level."""

import numpy as np

from overmem.records import Checkpoint
from overmem.verdict.turning_point import turning_point
from overmem.wording.logged import turning_sentences

FALLING = np.array([0.90, 0.80, 0.701, 0.60, 0.501, 0.40, 0.30])
LEVEL = np.array([0.9, 0.5, 0.302, 0.301, 0.3008, 0.3005, 0.3])


def turn_of(nll):
    return turning_point([Checkpoint(f"checkpoint-{s}", s) for s in range(1, len(nll) + 1)], nll)


def test_a_loss_that_still_falls_is_not_level():
    assert turn_of(FALLING).level_since is None
    assert "more training may still lower it" in turning_sentences(turn_of(FALLING))[0]


def test_a_loss_that_has_stopped_to_fall_is_level_since_the_first_checkpoint_within_noise():
    assert turn_of(LEVEL).level_since.name == "checkpoint-3"
    assert "since checkpoint-3 it has not fallen by more than its noise" in turning_sentences(turn_of(LEVEL))[0]
