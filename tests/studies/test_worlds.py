"""The simulator shows what its worlds claim, and the rule holds in a sample of them."""

from dataclasses import replace

import numpy as np
import pytest

from studies.judgements import judgements
from studies.worlds import World, drawn, truth
from studies.worlds.kinds import CONDITIONS, OVER, SHAPES, random_world


def nll_of(curves):
    return curves.nll_sums.sum(1) / curves.token_counts.sum()


def test_a_world_has_the_accuracy_nll_and_memory_that_it_claims():
    world = World(n=20_000)
    seen, true = drawn(world, "claims"), truth(world)
    np.testing.assert_allclose(seen["val"].correct[1:].mean(1), true.accuracy, atol=0.012)
    np.testing.assert_allclose(nll_of(seen["val"])[1:], true.nll, rtol=0.03)
    ratio = nll_of(seen["train"]) / nll_of(seen["val"])
    np.testing.assert_allclose(1 - ratio[1:] / ratio[0], true.memory, atol=0.03)


def test_luck_is_that_of_a_checkpoint_on_every_split():
    world = World("flat", n=20_000, rise=0.0, learning=0.01, settling=0.01, accuracy_luck=0.03, nll_luck=0.1)
    seen = drawn(world, "luck")
    val, test = seen["val"], seen["test"]
    assert np.corrcoef(val.correct[1:].mean(1), test.correct[1:].mean(1))[0, 1] > 0.9
    assert np.corrcoef(nll_of(val)[1:], nll_of(test)[1:])[0, 1] > 0.9
    assert 0.015 < val.correct[1:].mean(1).std() < 0.06


def test_rows_of_one_question_share_their_answer():
    seen = drawn(World(n=100, rows_per_question=10), "rows")["val"]
    assert len(np.unique(seen.groups)) == 10
    assert all(len(np.unique(seen.correct[3, seen.groups == g])) == 1 for g in range(10))


def test_easy_questions_are_always_right_and_hard_ones_never():
    seen = drawn(World(n=2000, easy=0.3, hard=0.1), "kinds")["val"].correct[3:]
    assert (seen.all(0)).mean() == pytest.approx(0.6, abs=0.2)
    assert (seen.all(0)).mean() > 0.3
    assert (~seen.any(0)).mean() >= 0.08


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_world_is_drawn_with_two_to_two_hundred_checkpoints(name):
    world = replace(replace(OVER, **CONDITIONS[name]), n=40)
    seen = drawn(world, "all")
    assert np.isfinite(seen["val"].nll_sums).all()
    assert seen["val"].correct.shape == (world.checkpoints + 1, 40)


def test_random_worlds_are_of_every_kind():
    names = {truth(random_world(seed)).regimes[-1] for seed in range(80)}
    assert names >= {"over-memorized", "risen-not-memorized", "over-fitted", "healthy", "healthy-memorizing"}


def test_the_true_onset_is_where_rise_and_nats_have_both_passed():
    world = World(n=10)
    assert truth(world).onset == pytest.approx(590, abs=5)
    assert truth(SHAPES["flat"]).onset is None
    assert truth(SHAPES["over-fitted"]).onset is None
    short = World(level=0.03, tokens=20.0)
    assert truth(short).onset is None  # a template may double: it is 0.3 nats per solution


def test_false_alarms_are_rare_and_power_is_high():
    runs = 25
    assert judgements(OVER, runs).decided("over-memorized") >= 20
    for name in ("flat", "over-fitted", "over-fitted, steadily"):
        assert judgements(SHAPES[name], runs).any_false <= 3
    risen = judgements(replace(OVER, memory=0.0), runs)
    assert risen.decided("risen-not-memorized") >= 20
    assert risen.any_false == 0
    lucky = judgements(replace(SHAPES["flat"], checkpoints=50, n=200, nll_luck=0.05), 10)
    assert lucky.any_false == 0
