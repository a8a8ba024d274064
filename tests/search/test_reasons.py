"""The sentences that say why a merge is recommended, why it is not, and why it fails."""

import pytest

from overmem.records import Estimate
from overmem.records.searches import LinePoint, MergeCandidate, MergeConfirmation, MergeCost, MergeLine, Updates
from overmem.search.decision import judged
from overmem.search.path import reasons

POINTS = tuple(LinePoint(part, Estimate(0.4, 0.39, 0.41, 100)) for part in (0.0, 0.5, 1.0))
BARRIER, PATH = Estimate(0.12, 0.1, 0.14, 100), Estimate(-0.01, -0.02, 0.0, 100)
LOWER, HIGHER = Estimate(-0.05, -0.07, -0.03, 100), Estimate(0.03, 0.01, 0.05, 100)
ACCURACY, NLL = Estimate(0.01, -0.01, 0.03, 200), Estimate(-0.05, -0.06, -0.04, 200)


def line(barrier, above, updates=None):
    return MergeLine("checkpoint-3", "checkpoint-9", POINTS, barrier, above, updates)


@pytest.mark.parametrize(
    ("drawn", "sentences"),
    [
        (
            line(PATH, LOWER, Updates(0.9, 0.97)),
            ["no barrier is shown between checkpoint-3 and checkpoint-9: -0.0100 nats per token "
             "(-0.0200 to +0.0000, n = 100) from the straight line"],
        ),
        (
            line(BARRIER, HIGHER, Updates(-0.7, 0.39)),
            [
                "there is a barrier between checkpoint-3 and checkpoint-9: +0.1200 nats per token "
                "(+0.1000 to +0.1400, n = 100) above the straight line",
                "checkpoint-3 and checkpoint-9 lie in different basins: 0.0300 nats per token (0.0100 to 0.0500) "
                "above the worse of the two on the way",
                "the weight updates of checkpoint-3 and checkpoint-9 cancel: their mean has 39% of their size "
                "(cosine -0.70)",
            ],
        ),
        (line(Estimate(None, note="not measured"), Estimate(None, note="not measured"), Updates(-0.7, 0.39)), []),
    ],
)  # fmt: skip
def test_a_line_says_whether_there_is_a_barrier_two_basins_and_updates_that_cancel(drawn, sentences):
    assert reasons(drawn) == sentences


@pytest.mark.parametrize(
    ("p_accuracy", "p_nll", "costs", "words"),
    [
        (0.01, 0.9, (), "shown to be more accurate: "),
        (0.3, 0.01, (), "shown to be as accurate at a lower perplexity: "),
        (0.3, 0.2, (MergeCost("ood-longer", Estimate(0.08, 0.02, 0.14, 150), 0.03),),
         "shown to be as accurate, with ood-longer better by 8.0 points (+2.0 to +14.0, n = 150): "),
        (0.3, 0.2, (MergeCost("ood-longer", Estimate(0.08, 0.02, 0.14, 150), 0.2),), "not shown to be better: "),
    ],
)  # fmt: skip
def test_the_verdict_on_a_winner_names_what_was_shown_and_the_search_behind_it(p_accuracy, p_nll, costs, words):
    winner = MergeCandidate("window", "checkpoints 3 to 9", {"checkpoint-3": 0.5, "checkpoint-9": 0.5}, NLL)
    test = MergeConfirmation(ACCURACY, NLL, p_accuracy, p_nll, 1, costs)
    recommended, why = judged(test, winner, "checkpoint-3", 40, 6)
    assert recommended == ("not shown" not in words)
    assert why == (
        f"{words}window (checkpoints 3 to 9) against checkpoint-3 on 200 test questions: +1.0 points of accuracy "
        "(-1.0 to +3.0), -0.0500 nats per token (-0.0600 to -0.0400)",
        "it was chosen on val among 6 finalists of 40 candidates, none of which saw test",
    )
