import numpy as np

from overmem.records import Checkpoint
from overmem.verdict.turning_point import turning_point
from overmem.wording.logged import loss_only_headline


def headline(*losses):
    checkpoints = tuple(Checkpoint(f"checkpoint-{i}", i) for i in range(1, len(losses) + 1))
    return loss_only_headline(turning_point(checkpoints, np.array(losses)))


def test_a_log_of_losses_alone_has_a_headline_with_a_provisional_choice_and_what_cannot_be_known():
    assert headline(2.0, 1.5, 1.2, 1.1) == (
        "Provisionally checkpoint-4, by the loss alone: it was lowest there, at the last evaluation. No accuracy "
        "of answers was logged."
    )
    risen = headline(2.0, 1.5, 1.2, 1.1, 1.15, 1.3, 1.5, 1.8, 2.1)
    assert risen.startswith("Provisionally checkpoint-4, by the loss alone: it was lowest there and has risen since.")
    assert "only an audit can tell" in risen
    assert "lowest there, at the first evaluation, and has risen since" in headline(1.0, 1.5, 2.0)
    assert headline(2.0).startswith("Nothing can be chosen")
