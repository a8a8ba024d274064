from dataclasses import replace

import numpy as np
import pytest

from overmem.records import Checkpoint
from overmem.verdict import regimes
from overmem.verdict.candidates import SelectionInputs, smoothed
from overmem.verdict.merges import best_merge
from overmem.verdict.selection import ALONE, ALONE_ON_DISK, SELECTION_RULES, choices, logged_choices, prunable
from studies.trajectories import World, simulated


@pytest.fixture(scope="module")
def splits():
    return simulated(World(n=500), "advice", splits=2)


def board(nll, accuracy, error=0.01):
    count = len(nll)
    return SelectionInputs(
        50.0 * np.arange(1, count + 1), np.array(nll), np.array(accuracy), np.eye(count) * error**2, 500
    )


@pytest.mark.parametrize(
    ("rule", "picked"), [("min-nll", 1), ("max-accuracy", 3), ("last", 4), ("paper", 2), ("one-se", 3)]
)
def test_each_rule_picks_what_its_name_says(rule, picked):
    assert SELECTION_RULES[rule](board([0.5, 0.40, 0.42, 0.5, 0.6], [0.3, 0.5, 0.6, 0.8, 0.79], 0.005), 0.05) == picked


def test_at_equal_accuracy_the_recommended_has_the_lowest_perplexity():
    assert SELECTION_RULES["overmem"](board([0.6, 0.42, 0.40, 0.5, 0.6], [0.4, 0.80, 0.80, 0.80, 0.80]), 0.05) == 2


def test_perplexity_alone_does_not_pick_too_early():
    assert SELECTION_RULES["overmem"](board([0.40, 0.42, 0.47, 0.55, 0.6], [0.4, 0.60, 0.75, 0.80, 0.80]), 0.05) >= 3


RISING = [0.11, 0.10, 0.12, 0.13, 0.15, 0.17, 0.18, 0.19]
"""Nll of a run that is best at its second checkpoint."""


@pytest.mark.parametrize("gain", [0.002, 0.007])
def test_a_gain_within_a_standard_error_never_moves_the_pick_into_the_rise(gain):
    level = [0.58, 0.63, 0.61, 0.625, 0.63, 0.63, 0.63 + gain, 0.63]
    assert SELECTION_RULES["overmem"](board(RISING, level, 0.0075), 0.015) == 1


def test_a_gain_of_more_than_a_standard_error_is_taken_at_a_costly_perplexity():
    level = [0.50, 0.55, 0.57, 0.59, 0.62, 0.63, 0.64, 0.64]
    assert SELECTION_RULES["overmem"](board(RISING, level, 0.0075), 0.015) >= 5


def test_below_the_perplexity_limit_the_most_accurate_is_taken_whatever_the_noise():
    level = [0.58, 0.63, 0.64, 0.60, 0.60, 0.60, 0.60, 0.60]
    assert SELECTION_RULES["overmem"](board(RISING, level, 0.003), 0.03) == 2


def test_smoothing_leaves_clear_differences_and_shrinks_noise():
    clear = board([0.4] * 5, [0.2, 0.4, 0.6, 0.8, 0.9], 0.003)
    np.testing.assert_allclose(smoothed(clear), clear.accuracy, atol=0.005)
    noisy = board([0.4] * 6, [0.80, 0.82, 0.79, 0.81, 0.80, 0.81], 0.02)
    assert np.ptp(smoothed(noisy)) < 0.3 * np.ptp(noisy.accuracy)


def test_regret_is_counted_from_the_recommended_on_test(splits):
    val, test = splits
    recommended, others = choices(val, test, regimes(val))
    at = {c.name: i for i, c in enumerate(test.checkpoints)}
    accuracy = test.correct.mean(1)
    for choice in (recommended, *others):
        expected = accuracy[at[recommended.checkpoint]] - accuracy[at[choice.checkpoint]]
        assert choice.regret.value == pytest.approx(expected)
        assert choice.regret.n == 500
    assert recommended.regret.value == 0.0


def test_only_what_is_on_disk_is_chosen(splits):
    val, test = splits
    recommended, others = choices(val, test, regimes(val), on_disk={"checkpoint-200", "checkpoint-900"})
    assert {c.checkpoint for c in (recommended, *others)} == {"checkpoint-200", "checkpoint-900"}
    assert choices(val, test, regimes(val), on_disk=()) == (None, ())


def test_without_test_the_numbers_are_marked_as_flattering(splits):
    recommended, _ = choices(splits[0], None, regimes(splits[0]))
    assert "flattering" in recommended.accuracy.note


def test_a_checkpoint_that_diverged_is_not_chosen(splits):
    val, test = splits
    nll = val.nll_sums.copy()
    nll[-1] = np.nan
    broken = replace(val, nll_sums=nll)
    _, others = choices(broken, test, regimes(broken))
    assert next(c for c in others if c.rule == "last").checkpoint == "checkpoint-900"


def test_pruning_needs_a_recommendation_and_spares_its_neighbours(splits):
    verdicts = regimes(splits[0])
    names = [v.checkpoint.name for v in verdicts]
    assert prunable(verdicts, None, names) == ()
    free = prunable(verdicts, names[4], names)
    assert set(names) - set(free) == {names[3], names[4], names[5], names[-1]}
    assert "checkpoint-7777" not in prunable(verdicts, names[4], [*names, "checkpoint-7777", "checkpoint-8888"])


def with_merge(curves, correct, nll_shift):
    """The same curves and one merge, as right as told and so much less likely a token than the first checkpoint."""
    merge = Checkpoint("merged-linear-1-2", 0, merged_from=("checkpoint-1", "checkpoint-2"))
    return replace(
        curves,
        checkpoints=(*curves.checkpoints, merge),
        correct=np.vstack([curves.correct, correct]),
        nll_sums=np.vstack([curves.nll_sums, curves.nll_sums.min(0) + nll_shift]),
    )


def test_a_merge_that_is_shown_to_be_better_is_recommended(splits):
    val, test = splits
    before, others = choices(val, test, regimes(val))
    merged = [with_merge(c, np.ones(500), 0.0) for c in splits]
    recommended, beside = best_merge(*merged, before, others)
    assert (recommended.rule, recommended.checkpoint) == ("merge", "merged-linear-1-2")
    assert before.checkpoint in {c.checkpoint for c in beside}
    assert all(c.regret.value > 0 for c in beside)


def test_a_merge_that_is_not_better_is_listed_with_its_regret(splits):
    val, test = splits
    before, others = choices(val, test, regimes(val))
    merged = [with_merge(c, np.zeros(500), 9.0) for c in splits]
    recommended, beside = best_merge(*merged, before, others)
    assert recommended == before
    assert beside[:-1] == others
    assert (beside[-1].rule, beside[-1].accuracy.value) == ("merge", 0.0)
    assert beside[-1].regret.value == pytest.approx(before.accuracy.value)


def test_without_a_merge_all_stays_as_it_was(splits):
    val, test = splits
    before, others = choices(val, test, regimes(val))
    assert best_merge(val, test, before, others) == (before, others)


def test_merges_are_corrected_for_how_many_were_tried(splits):
    val, test = splits
    before, others = choices(val, test, regimes(val))
    shipped = val.correct[[c.name for c in val.checkpoints].index(before.checkpoint)]
    wrong = np.flatnonzero(shipped == 0)
    luckier = shipped.copy()
    luckier[wrong[:8]] = 1  # 8 answers won and none lost, at a higher nll: p = 0.0023
    one = with_merge(val, luckier, 30.0)
    assert best_merge(one, None, before, others)[0].rule == "merge"
    many = one
    for i in range(12):
        many = with_merge(many, shipped, 31.0 + i)
    many = replace(
        many,
        checkpoints=tuple(
            replace(c, name=f"{c.name}-{i}") if c.merged_from else c for i, c in enumerate(many.checkpoints)
        ),
    )
    assert best_merge(many, None, before, others)[0].rule != "merge"


def test_a_merge_of_lower_nll_that_may_be_a_point_worse_is_not_recommended(splits):
    val, test = splits
    before, others = choices(val, test, regimes(val))
    shipped = val.correct[[c.name for c in val.checkpoints].index(before.checkpoint)]
    right = np.flatnonzero(shipped == 1)
    fewer = shipped.copy()
    fewer[right[:3]] = 0  # 3 of 500 answers lost: within the margin of 0.03, not shown to be within 0.01
    merged = with_merge(val, fewer, -1.0)
    assert best_merge(merged, None, before, others)[0].rule != "merge"


def test_luck_that_many_examples_show_is_shipped_and_noise_is_not():
    zigzag = [0.40, 0.70, 0.78, 0.81, 0.77, 0.82, 0.78, 0.81]
    sure, noisy = board([0.4] * 8, zigzag, 0.003), board([0.4] * 8, zigzag, 0.03)
    np.testing.assert_allclose(smoothed(sure), zigzag, atol=0.006)
    assert np.ptp(smoothed(noisy)[2:]) < 0.8 * np.ptp(zigzag[2:])


def test_a_log_whose_accuracy_only_wobbles_after_the_loss_turned_recommends_where_it_turned():
    nll = np.array([0.117, 0.113, 0.129, 0.131, 0.142, 0.152, 0.164, 0.172, 0.180, 0.192])
    accuracy = np.array([0.588, 0.633, 0.604, 0.627, 0.629, 0.634, 0.636, 0.636, 0.639, 0.640])
    checkpoints = tuple(Checkpoint(f"checkpoint-{k}", k) for k in range(200, 2200, 200))
    recommended, others = logged_choices(checkpoints, nll, accuracy, 0.0075, n=2235)
    assert recommended.checkpoint == "checkpoint-400"
    most_accurate = next(c for c in others if c.rule == "max-accuracy")
    assert most_accurate.checkpoint == "checkpoint-2000"
    assert most_accurate.regret.value == pytest.approx(-0.007)


def test_the_only_checkpoint_on_disk_is_not_called_the_only_one_evaluated():
    checkpoints = [Checkpoint(f"checkpoint-{s}", s) for s in (1, 2, 3)]
    nll, accuracy = np.array([0.5, 0.4, 0.45]), np.array([0.6, 0.7, 0.7])
    best, _ = logged_choices(checkpoints, nll, accuracy, 0.01, on_disk={"checkpoint-3"})
    assert best.reason == ALONE_ON_DISK
    only, _ = logged_choices(checkpoints[:1], nll[:1], accuracy[:1], 0.01)
    assert only.reason == ALONE
