"""The rule's words on ten hand-made curves: what a careful engineer would say."""

import numpy as np
import pytest

from overmem.records import Checkpoint, Curves, Limits
from overmem.seeds import generator
from overmem.verdict import onset, regimes
from overmem.wording.reasons import reason

N = 1000
LIMITS = Limits(d_nll=0.05)


def curves(nll, accuracy, *, steps=None, n=N, noise=0.05, flips=0.05):
    """Curves whose mean nll and accuracy are the given ones, each example's answers mostly the same all along."""
    rng = generator("ten curves", len(nll))
    steps = steps or [50 * (i + 1) for i in range(len(nll))]
    ease = rng.permutation((np.arange(n) + 0.5) / n)
    correct = np.array([np.where(np.isnan(a), np.nan, _right(rng, ease, a, flips)) for a in accuracy])
    tokens = rng.integers(30, 90, n)
    error = noise * rng.standard_normal((len(nll), n))
    per_token = np.array(nll)[:, None] * rng.lognormal(-0.02, 0.2, n) + error - error.mean(1, keepdims=True)
    checkpoints = tuple(
        Checkpoint(f"checkpoint-{s}-{i}" if steps.count(s) > 1 else f"checkpoint-{s}", s, s / 50)
        for i, s in enumerate(steps)
    )
    return Curves(checkpoints, per_token * tokens, tokens, correct)


def _right(rng, ease, accuracy, flips):
    if np.isnan(accuracy) or accuracy in (0, 1):
        return np.full(len(ease), accuracy)
    right = ease < accuracy
    swap = int(flips * len(ease) / 2)
    lost, won = rng.choice(np.flatnonzero(right), swap, False), rng.choice(np.flatnonzero(~right), swap, False)
    right[lost], right[won] = False, True
    return right.astype(float)


def named(verdicts):
    return [v.regime for v in verdicts]


def test_a_healthy_run_is_healthy_and_has_no_onset():
    seen = curves([0.60, 0.45, 0.41, 0.40, 0.40, 0.41], [0.40, 0.70, 0.80, 0.80, 0.80, 0.80])
    verdicts = regimes(seen, LIMITS)
    assert named(verdicts) == ["under-trained", "under-trained", *["healthy"] * 4]
    assert reason(verdicts[-1], LIMITS) == (
        "Accuracy is kept: 80.0% over its stretch, against 80.0% on the plateau (difference 0.0 points, at worst "
        "-1.1, allowed -3.0, n = 1,000), and perplexity is near its minimum: by its trend 0.003 nats per token above "
        "it (95% interval -0.018 to 0.027, limit 0.05)."
    )
    assert onset(seen, verdicts, LIMITS) is None


def test_an_over_memorized_run_is_recognized_with_its_onset():
    seen = curves([0.60, 0.42, 0.40, 0.44, 0.50, 0.56], [0.40, 0.78, 0.80, 0.80, 0.80, 0.80])
    verdicts = regimes(seen, LIMITS)
    assert named(verdicts)[-2:] == ["over-memorized"] * 2
    estimate = onset(seen, verdicts, LIMITS)
    assert estimate.checkpoint == "checkpoint-250"
    assert estimate.step.low <= 208.3 <= estimate.step.high


def test_a_flat_run_is_healthy_throughout():
    assert named(regimes(curves([0.4] * 6, [0.8] * 6))) == ["healthy"] * 6


def test_a_noisy_run_is_undecided_and_says_how_many_examples_would_decide():
    seen = curves(
        [0.41, 0.39, 0.42, 0.40, 0.41, 0.40], [0.78, 0.81, 0.77, 0.80, 0.78, 0.79], n=100, flips=0.3, noise=0.5
    )
    verdicts = regimes(seen, LIMITS)
    assert "over-memorized" not in named(verdicts)
    last = verdicts[-1]
    assert last.regime == "undecided"
    assert "It is open whether accuracy is kept" in reason(last, LIMITS)
    assert "examples instead of 100 would decide" in reason(last, LIMITS)
    assert last.tests.examples_for_accuracy > 100


def test_perplexity_that_rises_from_the_first_step_while_accuracy_climbs_is_over_memorized_only_once_it_is_kept():
    seen = curves([0.40, 0.50, 0.60, 0.70, 0.80, 0.90], [0.40, 0.60, 0.75, 0.80, 0.80, 0.80])
    verdicts = regimes(seen, LIMITS)
    assert named(verdicts)[:3] == [*["under-trained"] * 2, "still-learning"]
    assert verdicts[3].leaning.regime == "still-learning"  # six checkpoints leave luck of 2 points possible
    assert named(verdicts)[4:] == ["over-memorized"] * 2
    assert "perplexity is costly" in reason(verdicts[2], LIMITS)


def test_accuracy_at_zero_is_not_kept_but_absent():
    verdicts = regimes(curves([0.60, 0.45, 0.40, 0.45, 0.55, 0.65], [0.0] * 6), LIMITS)
    assert named(verdicts) == ["undecided"] * 6
    assert "there is no accuracy that could be kept or lost" in reason(verdicts[-1], LIMITS)
    assert "Perplexity is costly" in reason(verdicts[-1], LIMITS)
    assert "Check first that answers are read correctly" in reason(verdicts[-1], LIMITS)


def test_accuracy_at_one_is_kept():
    verdicts = regimes(curves([0.60, 0.45, 0.40, 0.45, 0.55, 0.65], [1.0] * 6), LIMITS)
    assert named(verdicts)[-1] == "over-memorized"
    assert named(verdicts)[2] == "healthy"
    assert verdicts[-1].accuracy_gap.low < 0 < verdicts[-1].accuracy_gap.high


def test_two_checkpoints_are_enough():
    verdicts = regimes(curves([0.40, 0.60], [0.80, 0.80]), LIMITS)
    assert named(verdicts) == ["healthy", "over-memorized"]
    verdicts = regimes(curves([0.60, 0.40], [0.50, 0.80]), LIMITS)
    assert named(verdicts) == ["under-trained", "healthy"]


def test_one_checkpoint_is_compared_with_nothing_and_so_undecided():
    assert named(regimes(curves([0.40], [0.80]))) == ["undecided"]


def test_nan_in_the_middle_costs_that_checkpoint_and_no_other():
    nll = [0.60, 0.42, 0.40, float("nan"), 0.50, 0.56]
    verdicts = regimes(curves(nll, [0.40, 0.78, 0.80, 0.80, 0.80, 0.80]), LIMITS)
    assert verdicts[3].regime == "undecided"
    assert verdicts[3].nll.value is None
    assert reason(verdicts[3], LIMITS).startswith("Perplexity is not judged here")
    assert "Accuracy is kept: 80.0%" in reason(verdicts[3], LIMITS)
    assert named(verdicts)[-2:] == ["over-memorized"] * 2


def test_missing_evaluations_leave_what_is_certain_certain():
    accuracy = [0.40, float("nan"), 0.80, float("nan"), 0.80, float("nan")]
    verdicts = regimes(curves([0.60, 0.42, 0.40, 0.44, 0.50, 0.56], accuracy), LIMITS)
    assert verdicts[-1].regime == "undecided"
    assert reason(verdicts[-1], LIMITS).startswith("Accuracy is not judged here")
    assert "Perplexity is costly" in reason(verdicts[-1], LIMITS)
    assert verdicts[4].regime == "over-memorized"


def test_duplicated_steps_count_once_and_the_last_one_counts():
    nll, accuracy = [0.60, 0.42, 0.90, 0.40, 0.50, 0.56], [0.40, 0.78, 0.10, 0.80, 0.80, 0.80]
    verdicts = regimes(curves(nll, accuracy, steps=[50, 100, 150, 150, 200, 250]), LIMITS)
    assert reason(verdicts[2], LIMITS) == "Not judged: measured again later."
    assert verdicts[3].regime == "healthy"
    assert named(verdicts)[-2:] == ["over-memorized"] * 2


def test_a_run_that_only_gets_worse_is_over_fitted_from_the_start():
    verdicts = regimes(curves([0.40, 0.50, 0.60, 0.70], [0.80, 0.70, 0.60, 0.50]), LIMITS)
    assert named(verdicts) == ["healthy", "undecided", *["over-fitted"] * 2]
    assert verdicts[1].leaning.regime == "over-fitted"  # four checkpoints cannot rule out luck
    assert "on the plateau, which came before" in reason(verdicts[-1], LIMITS)


def test_accuracy_that_falls_without_perplexity_is_not_called_over_fitted():
    verdicts = regimes(curves([0.50, 0.40, 0.40, 0.40], [0.70, 0.80, 0.80, 0.60]), LIMITS)
    assert verdicts[-1].regime == "undecided"
    assert "accuracy fell without the perplexity that over-fitting brings" in reason(verdicts[-1], LIMITS)


def test_a_good_base_model_is_a_checkpoint_like_the_others():
    seen = curves([0.90, 0.50, 0.42, 0.40, 0.47, 0.55], [0.97] * 6, steps=[0, 50, 100, 150, 200, 250])
    verdicts = regimes(seen, LIMITS)
    assert verdicts[0].regime == "under-trained"
    assert "perplexity is still falling" in reason(verdicts[0], LIMITS)
    assert named(verdicts)[3:] == ["healthy", "over-memorized", "over-memorized"]


def test_two_hundred_checkpoints_are_judged():
    t = np.linspace(0.005, 1, 200)
    nll = 0.4 + 0.3 * np.exp(-t / 0.05) + 0.2 * np.clip(t - 0.3, 0, None)
    verdicts = regimes(curves(list(nll), list(0.8 - 0.5 * np.exp(-t / 0.05)), n=500), LIMITS)
    assert named(verdicts)[-1] == "over-memorized"
    assert named(verdicts)[0] == "under-trained"


def test_the_order_of_the_examples_changes_no_regime():
    seen = curves([0.60, 0.42, 0.40, 0.40, 0.50, 0.56], [0.40, 0.70, 0.80, 0.80, 0.80, 0.80])
    order = generator("order").permutation(N)
    turned = Curves(seen.checkpoints, seen.nll_sums[:, order], seen.token_counts[order], seen.correct[:, order])
    assert named(regimes(turned, LIMITS)) == named(regimes(seen, LIMITS))


@pytest.mark.parametrize("missing", ["nll", "accuracy"])
def test_nothing_measured_is_undecided_everywhere(missing):
    nothing = [float("nan")] * 3
    nll, accuracy = (nothing, [0.8] * 3) if missing == "nll" else ([0.4] * 3, nothing)
    verdicts = regimes(curves(nll, accuracy), LIMITS)
    assert named(verdicts) == ["undecided"] * 3
    assert all("not judged here" in reason(v, LIMITS) for v in verdicts)
