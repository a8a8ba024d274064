"""Rise, memory, luck and accuracy of a run, each against what is true of it."""

import numpy as np
import pytest

from overmem.verdict.accuracy import accuracy_tests
from overmem.verdict.clusters import log_ratio_and_covariance, mean_and_covariance
from overmem.verdict.facts import facts
from overmem.verdict.leaning import probabilities
from overmem.verdict.luck import ACCURACY_GRID, ACCURACY_PRIOR, luck
from overmem.verdict.memory import memory_tests
from overmem.verdict.naming import names
from overmem.verdict.rise import rise_limit, rise_tests
from overmem.verdict.windows import around, local_line, stretches
from studies.worlds import World, drawn


def test_rows_of_one_question_are_one_observation():
    rng = np.random.default_rng(0)
    once = rng.random((3, 50))
    many, groups = np.repeat(once, 4, axis=1), np.repeat(np.arange(50), 4)
    np.testing.assert_allclose(mean_and_covariance(many, groups)[1], mean_and_covariance(once)[1])
    tokens = rng.integers(5, 50, 50).astype(float)
    one = log_ratio_and_covariance(once * tokens, tokens)
    four = log_ratio_and_covariance(np.repeat(once * tokens, 4, axis=1), np.repeat(tokens, 4), groups)
    np.testing.assert_allclose(one[0], four[0])
    np.testing.assert_allclose(one[1], four[1])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 10, 50])
def test_weights_of_stretches_sum_to_one(count):
    rows, _ = stretches(count)
    for weights in (around(count), around(count, 1), rows):
        np.testing.assert_allclose(weights.sum(1), 1)


def test_the_local_line_is_exact_on_a_line_and_never_looks_before_the_trough():
    line = 3.0 + 0.5 * np.arange(20)
    for i in range(4, 20):
        row = local_line(20, i, 4)
        assert row @ line == pytest.approx(line[i])
        assert not row[:4].any()


@pytest.mark.parametrize("deviation", [0.0, 0.03])
def test_luck_is_read_off_second_differences(deviation):
    rng = np.random.default_rng(1)
    curve = 0.8 + 0.005 * rng.standard_normal(40) + deviation * rng.standard_normal(40)
    result = luck(curve, 0.005**2 * np.eye(40), ACCURACY_GRID, ACCURACY_PRIOR)
    assert result.deviation == pytest.approx(deviation, abs=0.008)
    assert not result.assumed
    assert luck(curve[:4], np.eye(4), ACCURACY_GRID, ACCURACY_PRIOR).assumed


def test_a_rise_must_be_both_relative_and_felt_in_a_solution():
    assert rise_limit(30.0, 0.4, 0.15, 0.5, None) == pytest.approx(np.log(1.15))
    assert rise_limit(0.6, 0.03, 0.15, 0.5, None) == pytest.approx(np.log(1 + 0.5 / 0.6))
    assert rise_limit(30.0, 0.4, 0.15, 0.5, 0.05) == pytest.approx(np.log(1 + 0.05 / 0.4))


def test_a_rise_that_passes_is_not_costly():
    levels = np.log([0.6, 0.4, 0.4, 0.55, 0.4, 0.4, 0.4, 0.41, 0.4, 0.4])
    assert (rise_tests(levels, 1e-5 * np.eye(10), 500, 75.0).p_costly > 0.05).all()
    stays = np.log([0.6, 0.4, 0.4, 0.45, 0.5, 0.55, 0.55, 0.56, 0.57, 0.58])
    assert rise_tests(stays, 1e-5 * np.eye(10), 500, 75.0).p_costly[-1] < 0.001


def test_memory_is_zero_where_train_falls_like_val_and_one_where_it_falls_alone():
    rng = np.random.default_rng(2)
    tokens = rng.integers(20, 90, 400).astype(float)
    level = np.array([1.2, 0.4, 0.4])[:, None] * rng.lognormal(0, 0.2, 400)
    val = level * tokens
    train = np.array([1.0, 1.0, 0.1])[:, None] * val[:, rng.permutation(400)]
    order = train[0] / train[0]
    result = memory_tests(train, tokens * order, val, tokens, base=True)
    np.testing.assert_allclose(result.memory, [0.0, 0.9], atol=0.02)
    assert result.p_not[0] < 0.001
    assert result.p_memorized[1] < 0.001


def test_accuracy_that_is_flat_is_kept_and_one_that_fell_is_lost():
    flat, error = np.full(10, 0.8), 0.006**2 * np.eye(10)
    assert accuracy_tests(flat, error, 999, 0.03).p_kept[-1] < 0.01
    fell = accuracy_tests(np.r_[flat[:4], np.full(6, 0.72)], error, 999, 0.03)
    assert fell.p_lost[-1] < 0.01
    assert fell.p_kept[-1] > 0.9
    assert fell.later[-1] == pytest.approx(0, abs=0.01)


def test_the_margin_is_at_most_a_tenth_of_what_is_solved():
    assert accuracy_tests(np.full(8, 0.06), 1e-5 * np.eye(8), 499, 0.03).margin == pytest.approx(0.006, abs=0.001)


def test_chance_is_not_solved():
    curves = drawn(World(top=0.25, start=0.25, n=500), "chance")
    result = facts(curves["val"], curves["train"], chance=0.25)
    assert set(names(result)) == {"undecided"}


def test_probabilities_of_the_regimes_never_exceed_one():
    curves = drawn(World(n=200), "sum")
    for train in (curves["train"], None):
        table = probabilities(facts(curves["val"], train))
        assert (table >= 0).all()
        assert (table.sum(1) <= 1 + 1e-9).all()


def test_nothing_is_tested_where_nothing_was_measured():
    curves = drawn(World(n=30), "none")["val"]
    assert (
        facts(type(curves)(curves.checkpoints[:1], curves.nll_sums[:1], curves.token_counts, curves.correct[:1]))
        is None
    )
