"""The weightings that a search tries."""

import numpy as np
import pytest

from overmem.records import Limits
from overmem.search.candidates import DECAYS, Trajectory, averaged, decayed, fixed, greedy, simplex
from overmem.verdict.searched import barrier, confirmed, winner

NAMES = [f"checkpoint-{i}" for i in range(1, 7)]
RUN = Trajectory(NAMES, {name: 1.0 + 0.1 * abs(i - 2) for i, name in enumerate(NAMES)}, NAMES[2], "base")


def test_every_weighting_sums_to_one_and_names_checkpoints_of_the_run():
    seen = list(fixed(RUN))
    assert {rule for rule, _, _ in seen} == {"pair", "line", "base-line", "uniform", "window", "wsm", "ema", "nll"}
    for _, label, weights in seen:
        assert sum(weights.values()) == pytest.approx(1), label
        assert set(weights) <= {*NAMES, "base"}


def test_a_decay_weights_checkpoints_as_a_decaying_learning_rate_weights_their_updates():
    updates = np.arange(1.0, 5.0)
    theta = np.concatenate([[0.0], np.cumsum(updates)])
    for multiplier in DECAYS.values():
        weights = decayed([str(i) for i in range(5)], multiplier)
        merged = sum(w * theta[int(name)] for name, w in weights.items())
        rates = [multiplier(j / 5) for j in range(1, 5)]
        assert merged == pytest.approx(float(np.dot(rates, updates)))


def test_an_average_follows_its_recursion():
    values = {"a": 1.0, "b": 4.0, "c": 9.0}
    expected = 1.0
    for name in ("b", "c"):
        expected = 0.8 * expected + 0.2 * values[name]
    assert sum(w * values[n] for n, w in averaged(list(values), 0.8).items()) == pytest.approx(expected)


def test_the_simplex_finds_the_weights_of_a_quadratic():
    target = {NAMES[2]: 0.6, NAMES[1]: 0.4}
    tried = []

    def score(rule, label, weights):
        nll = sum((weights.get(name, 0) - target.get(name, 0)) ** 2 for name in NAMES)
        tried.append((nll, weights))
        return nll

    simplex(RUN, score)
    assert min(nll for nll, _ in tried) < 0.01
    assert all(sum(w.values()) == pytest.approx(1) and min(w.values()) >= 0 for _, w in tried)


def test_the_greedy_soup_keeps_only_what_lowers_the_nll():
    calls = []

    def score(rule, label, weights):
        calls.append(set(weights))
        return 0.9 if set(weights) <= set(NAMES[1:4]) else 2.0

    greedy(RUN, score)
    assert len(calls) == len(NAMES) - 1
    assert all(NAMES[2] in soup for soup in calls)


def test_a_merge_equal_to_the_single_checkpoint_is_recommended_in_at_most_5_percent():
    """Accuracy and nll are equal in truth; both claims count, and the winner is the luckiest of six on val."""
    rng = np.random.default_rng(0)
    claims = 0
    for _ in range(400):
        level = rng.beta(4, 2, 300)
        val = (rng.random((6, 300)) < level).astype(float)
        assert 0 <= winner(val, rng.normal(size=6)) < 6
        correct = (rng.random((2, 300)) < level).astype(float)
        sums = 20 + rng.normal(size=300) * 5 + rng.normal(size=(2, 300))
        test = confirmed(correct, sums, np.full(300, 40.0))
        claims += min(test.p_more_accurate, test.p_as_accurate_at_lower_nll) < Limits().alpha
    assert claims / 400 <= 0.05


def test_a_better_merge_is_shown_and_further_winners_on_the_same_questions_cost():
    rng = np.random.default_rng(1)
    correct = np.stack([rng.random(500) < 0.8, rng.random(500) < 0.7]).astype(float)
    sums = np.stack([rng.normal(20, 1, 500), rng.normal(22, 1, 500)])
    once, thrice = (confirmed(correct, sums, np.full(500, 40.0), winners=n) for n in (1, 3))
    assert once.p_more_accurate < 0.05
    assert thrice.p_more_accurate == pytest.approx(3 * once.p_more_accurate)


def test_a_barrier_is_the_height_above_the_straight_line():
    tokens = np.full(50, 10.0)
    sums = np.stack([np.full(50, 10.0), np.full(50, 18.0), np.full(50, 20.0)])
    assert barrier(sums, np.array([0.0, 0.5, 1.0]), tokens).value == pytest.approx(0.3)
    assert barrier(sums[[0, 2]], np.array([0.0, 1.0]), tokens).value is None
