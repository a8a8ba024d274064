"""Levels for looks: together they err as often as one look would, however often one looks."""

import numpy as np
import pytest
from scipy.special import ndtri

from overmem.verdict.anytime import level, looks
from studies import until_decided
from studies.worlds import World


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_a_sum_that_is_looked_at_after_every_question_crosses_with_at_most_alpha(alpha):
    planned, runs = 400, 4000
    rng = np.random.default_rng(0)
    sums = np.cumsum(rng.standard_normal((runs, planned)), axis=1)
    boundary = np.array([-ndtri(level(n, planned, alpha)) * np.sqrt(n) for n in range(1, planned + 1)])
    share = (sums > boundary).any(1).mean()
    assert share <= alpha + 2 * np.sqrt(alpha * (1 - alpha) / runs)
    assert share >= 0.7 * alpha


def test_the_level_rises_with_the_questions_and_most_of_it_is_left_at_the_end():
    levels = [level(n, 1000, 0.05) for n in looks(1000)]
    assert levels == sorted(levels)
    assert levels[-1] == pytest.approx(0.03)


def test_all_planned_questions_are_the_last_look():
    assert looks(60) == (60,)
    assert looks(1000)[:3] == (100, 150, 200)
    assert looks(1000)[-1] == 1000


def test_an_over_memorized_run_is_decided_early_and_the_same():
    found = [until_decided.stopped(World(), seed) for seed in range(6)]
    assert all(s.early == s.whole for s in found)
    assert np.median([s.questions for s in found]) < 0.8


def test_a_loss_of_the_margin_is_hardly_ever_overlooked_by_looking_often():
    world = until_decided.HARDEST["loss of exactly the margin, steady"]
    assert sum(until_decided.stopped(world, seed).false for seed in range(20)) <= 3
