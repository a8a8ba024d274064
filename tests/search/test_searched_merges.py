"""A merge that a search chose on val is judged on test."""

import numpy as np

from overmem.records import Checkpoint, Curves
from overmem.verdict.merges import best_merge
from overmem.verdict.selection import choices

CHECKPOINTS = (Checkpoint("checkpoint-1", 1), Checkpoint("merged-search-ema-0", 1, merged_from=("checkpoint-1",)))


def curves(accuracies, seed):
    rng = np.random.default_rng(seed)
    correct = np.array([rng.random(400) < a for a in accuracies], dtype=float)
    return Curves(
        CHECKPOINTS, 20 - 4 * np.array(accuracies)[:, None] + rng.normal(size=(2, 400)), np.full(400, 40), correct
    )


def test_it_is_recommended_for_what_test_shows_and_not_for_what_val_shows():
    good, equal = (0.5, 0.8), (0.6, 0.6)
    for val, test, picks in ((good, equal, False), (good, good, True)):
        on_val, on_test = curves(val, 1), curves(test, 2)
        recommended, others = choices(on_val, on_test)
        assert recommended is not None
        searched = best_merge(on_val, on_test, recommended, others, searched=[CHECKPOINTS[1].name])[0]
        assert (searched.checkpoint == CHECKPOINTS[1].name) == picks, (val, test)
