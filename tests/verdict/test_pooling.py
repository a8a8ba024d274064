"""Risen checkpoints are judged as one stretch where they agree, and luck is told from a learning curve."""

import numpy as np

from overmem.verdict.accuracy import accuracy_tests
from overmem.verdict.luck import ACCURACY_GRID, ACCURACY_PRIOR, luck
from overmem.verdict.pooling import is_one_stretch, pooled_over, windows

LEARNED_THEN_LEVEL = np.array([0.80, 0.91, 0.97, 0.95, 0.975, 0.945, 0.95, 0.965, 0.955, 0.955])
RISEN = np.arange(10) >= 3
NOISE = 0.008**2 * np.eye(10)


def test_one_test_for_the_stretch_names_what_each_window_alone_leaves_open():
    alone = accuracy_tests(LEARNED_THEN_LEVEL, NOISE, 499, 0.03)
    as_one = accuracy_tests(LEARNED_THEN_LEVEL, NOISE, 499, 0.03, risen=RISEN)
    assert (alone.p_kept_of_many[RISEN] > 0.05).any()
    assert (as_one.p_kept_of_many[RISEN] < 0.05).all()
    assert len(set(as_one.p_kept[RISEN].tolist())) == 1
    np.testing.assert_array_equal(as_one.is_member, RISEN)


def test_the_accuracy_that_is_judged_is_that_of_the_stretch_and_of_the_window_elsewhere():
    tests = accuracy_tests(LEARNED_THEN_LEVEL, NOISE, 499, 0.03, risen=RISEN)
    np.testing.assert_allclose(tests.judged[RISEN], LEARNED_THEN_LEVEL[RISEN].mean())
    np.testing.assert_allclose(tests.judged[~RISEN], tests.pooled[~RISEN])


def test_a_stretch_that_declines_is_not_judged_by_its_mean():
    declining = np.r_[LEARNED_THEN_LEVEL[:3], np.linspace(0.97, 0.93, 7)]
    assert is_one_stretch(LEARNED_THEN_LEVEL, NOISE, RISEN)
    assert not is_one_stretch(declining, NOISE, RISEN)
    assert not accuracy_tests(declining, NOISE, 499, 0.03, risen=RISEN).is_member.any()


def test_a_stretch_of_two_accuracies_is_not_one():
    stepped = np.r_[np.full(3, 0.95), np.full(3, 0.90), np.full(4, 0.95)]
    assert not is_one_stretch(stepped, NOISE, RISEN)


def test_two_risen_checkpoints_are_no_stretch():
    assert not is_one_stretch(LEARNED_THEN_LEVEL, NOISE, np.arange(10) >= 8)


def test_weights_over_the_stretch_are_its_mean():
    weights = pooled_over(windows(LEARNED_THEN_LEVEL, NOISE), RISEN)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(weights[RISEN], RISEN / 7 * np.ones((7, 1)))


def test_going_up_and_down_after_the_rise_is_luck_and_a_learning_curve_is_not():
    zigzag = np.r_[0.8, 0.9, 0.95, 0.95 + 0.02 * np.array([1, -1, 1, -1, 1, -1, 1])]
    climbing = np.array([0.40, 0.60, 0.75, 0.80, 0.80, 0.80, 0.80, 0.80, 0.80, 0.80])
    everywhere = np.ones(10, dtype=bool)
    for curve, more in ((zigzag, True), (climbing, False)):
        without = luck(curve, NOISE, ACCURACY_GRID, ACCURACY_PRIOR)
        after = luck(curve, NOISE, ACCURACY_GRID, ACCURACY_PRIOR, settled=everywhere)
        assert (after.deviation > without.deviation + 1e-6) is more
