"""The headline on a log without accuracy. The words are in `expected.txt`."""

import numpy as np
import pytest

from overmem.records import Checkpoint
from overmem.verdict.turning_point import turning_point
from overmem.wording.logged import loss_only_headline


@pytest.mark.parametrize(
    ("losses", "lowest"),
    [
        ((2.0, 1.5, 1.2, 1.1), "checkpoint-4"),
        ((2.0, 1.5, 1.2, 1.1, 1.15, 1.3, 1.5, 1.8, 2.1), "checkpoint-4"),
        ((1.0, 1.5, 2.0), "checkpoint-1"),
    ],
)
def test_the_headline_names_the_checkpoint_of_lowest_loss_as_provisional(losses, lowest):
    checkpoints = tuple(Checkpoint(f"checkpoint-{i}", i) for i in range(1, len(losses) + 1))
    headline = loss_only_headline(turning_point(checkpoints, np.array(losses)))
    assert headline.startswith(f"Provisionally {lowest}, ")
