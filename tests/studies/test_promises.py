"""The lines that the rule must hold, in a quick mode; docs/results/verdict.md has them at full size."""

import numpy as np
import pytest

from studies import advice, calibration, limits, memo, onsets, promises
from studies.judgements import alternates
from studies.worlds import World, drawn
from studies.worlds.kinds import OVER


def test_every_promise_has_a_row_in_the_table():
    text = promises.promise_table(2)
    assert text.count("\n") == len(promises.promises()) + 1


def test_false_alarms_are_a_table_with_a_row_per_world():
    text = promises.alarm_table(3, kinds=("flat",), conditions=("as it comes", "warm restarts"))
    assert text.count("\n") == 3


def test_probabilities_are_calibrated():
    result = calibration.sample(150, "test")
    top, hit = result.probability.max(1), result.probability.argmax(1) == result.true
    sure = top > 0.9
    assert sure.sum() > 60
    assert hit[sure].mean() == pytest.approx(top[sure].mean(), abs=0.08)
    assert "| 0.97–1.00 |" in calibration.reliability(result)


def test_a_regime_that_comes_back_alternates():
    assert alternates(("healthy", "over-memorized", "healthy"))
    assert not alternates(("under-trained", "healthy", "undecided", "healthy-memorizing", "healthy"))


def test_even_the_best_possible_test_needs_enough_examples():
    few, many = (limits.trade(n, 0.10, runs=20_000) for n in (500, 1000))
    assert 0.5 < few.power(0.06) < 0.7 < 0.9 < many.power(0.06)
    assert few.error(0.75) > 0.08
    assert limits.limits_table().count("\n") == 7


def test_the_interval_of_the_onset_holds_the_truth_with_luck_too():
    lucky = onsets.cells()["nll luck 5%"]
    made, held, width, _ = onsets.coverage(lucky, 40)
    assert made >= 30
    assert held >= 0.85 * made
    assert width > onsets.coverage(OVER, 10)[2]


def test_cached_results_are_used_until_the_rule_changes(tmp_path):
    assert memo.cached(tmp_path, "cell", lambda: [1, 2]) == [1, 2]
    assert memo.cached(tmp_path, "cell", lambda: [3]) == [1, 2]
    assert memo.cached(tmp_path, "cell", lambda: [3], ("README.md",)) == [3]
    assert memo.cached(None, "cell", lambda: [4]) == [4]


def test_regret_includes_the_luck_of_the_chosen_checkpoint():
    world = World("flat", n=20_000, rise=0.0, learning=0.01, accuracy_luck=0.03)
    accuracy, _ = advice.true_values(world, "priced")
    curves = advice.without_base(drawn(world, "priced", splits=("val",))["val"])
    np.testing.assert_allclose(curves.correct.mean(1), accuracy, atol=0.012)


def test_every_rule_has_a_regret_in_every_world(monkeypatch):
    monkeypatch.setattr(advice, "CONDITIONS", {"as it comes": {"n": 60}})
    text = advice.advice_table(3)
    assert text.count("| GL 5 |") == 3
    assert "UP 3" in text
