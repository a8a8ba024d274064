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


def test_what_a_search_has_shown_counts_only_against_the_checkpoint_that_it_was_shown_against():
    on_val, on_test = curves((0.5, 0.8), 1), curves((0.6, 0.6), 2)
    recommended, others = choices(on_val, on_test)
    assert recommended is not None
    merged = CHECKPOINTS[1].name
    for against, picks in ((recommended.checkpoint, True), ("checkpoint-7", False)):
        best = best_merge(on_val, on_test, recommended, others, searched=[merged], confirmed={merged: against})[0]
        assert (best.checkpoint == merged) == picks, against
