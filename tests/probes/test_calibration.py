import numpy as np
import pytest

from overmem.probes.calibration import calibration
from overmem.records import TEMPERATURES
from overmem.statistics.reliability import (
    Claims,
    bins_of,
    calibration_error,
    mean_absolute_gap,
    smooth_calibration_error,
)


def judged_of(confidence, correct, each=1):
    n = len(confidence)
    return Claims(np.array(confidence, dtype=np.float64), np.array(correct, dtype=bool), np.arange(n) // each)


@pytest.fixture
def sure_and_often_wrong():
    rng = np.random.default_rng(0)
    confidence = rng.beta(6, 1, 1000)
    return judged_of(confidence, rng.random(1000) < confidence - 0.25)


def test_bins_hold_equal_mass_and_equal_confidences_share_one(sure_and_often_wrong):
    assert bins_of(sure_and_often_wrong).weight == pytest.approx(np.full(10, 0.1), abs=1e-3)
    same = judged_of([1.0] * 300 + [0.5] * 100, [True] * 400)
    assert sorted(bins_of(same).weight) == [0.25, 0.75]


def test_the_gap_of_a_bin_and_its_variance_by_hand():
    confidence, correct = np.array([0.9, 0.8, 0.7, 1.0]), np.array([True, False, True, True])
    bins = bins_of(judged_of(confidence, correct))
    assert bins.gap == pytest.approx([0.85 - 0.75])
    assert bins.covariance[0, 0] == pytest.approx(np.var(confidence - correct, ddof=1) / 4)


def test_the_debiased_square_is_kumars_where_confidence_is_constant_within_a_bin():
    rng = np.random.default_rng(1)
    confidence = np.repeat([0.3, 0.9], 200)
    correct = rng.random(400) < confidence - 0.15
    shares = correct.reshape(2, 200).mean(1)
    expected = np.mean((np.array([0.3, 0.9]) - shares) ** 2 - shares * (1 - shares) / 199)
    assert calibration_error(judged_of(confidence, correct)).value == pytest.approx(np.sqrt(expected))


def test_a_known_distance_from_the_truth_is_found_by_every_error(sure_and_often_wrong):
    for error in (calibration_error, mean_absolute_gap, smooth_calibration_error):
        result = error(sure_and_often_wrong)
        assert result.low < 0.25 < result.high or result.value == pytest.approx(0.25, abs=0.05)
        assert result.low > 0.15


def test_debiasing_brings_a_calibrated_model_to_0_where_the_plug_in_does_not():
    errors, plug_ins = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        confidence = rng.beta(3, 1, 400)
        judged = judged_of(confidence, rng.random(400) < confidence)
        bins = bins_of(judged)
        plug_ins.append(float(bins.weight @ bins.gap**2))
        errors.append(plug_ins[-1] - float(bins.weight @ np.diag(bins.covariance)))
    assert abs(np.mean(errors)) < 0.2 * np.mean(plug_ins)


def test_tokens_that_move_together_widen_the_interval():
    rng = np.random.default_rng(2)
    right = np.repeat(rng.random(100) < 0.6, 20)
    alone, together = judged_of(np.full(2000, 0.8), right), judged_of(np.full(2000, 0.8), right, each=20)
    one, two = calibration_error(alone), calibration_error(together)
    assert two.high - two.low > 2 * (one.high - one.low)


def smooth_error_by_definition(judged, cells=300):
    """The fixed point of sigma -> the integral over [0, 1] of |the residuals smoothed by reflected Gaussians|."""
    at = (np.arange(cells) + 0.5) / cells
    images = [judged.confidence + shift for shift in (-4, -2, 0, 2, 4)]
    images += [shift - judged.confidence for shift in (-2, 0, 2, 4)]
    residual = np.tile((judged.confidence - judged.correct) / len(judged.confidence), len(images))

    def error(sigma):
        away = (at[:, None] - np.concatenate(images)) / sigma
        return np.abs(np.exp(-(away**2) / 2) @ residual).sum() / (cells * sigma * np.sqrt(2 * np.pi))

    low, high = 1e-3, 1.0
    for _ in range(11):
        middle = (low + high) / 2
        low, high = (middle, high) if error(middle) > middle else (low, middle)
    return high


def test_the_smooth_error_follows_its_definition(sure_and_often_wrong):
    for judged in (sure_and_often_wrong, judged_of([0.9, 0.2, 0.6, 0.75] * 5, [True, False, False, True] * 5)):
        result = smooth_calibration_error(judged).value
        assert result == pytest.approx(smooth_error_by_definition(judged), abs=2e-3)


def test_brier_and_overconfidence_by_hand(make_scores, make_snapshot, value_of):
    top = np.log([0.9, 0.6, 0.5, 0.8])
    scores = make_scores([[1.0, 1.0], [1.0, 1.0]], hits=[True, False, True, False], top1=top)
    rows = calibration(make_snapshot(scores={"val": scores}))
    assert value_of(rows, "token_brier").value == pytest.approx(np.mean([0.01, 0.36, 0.25, 0.64]))
    assert value_of(rows, "token_overconfidence").value == pytest.approx(0.7 - 0.5)
    assert value_of(rows, "token_confidence_bin", bin=0).value == pytest.approx(0.7)
    assert value_of(rows, "token_accuracy_bin", bin=0).value == pytest.approx(0.5)


def test_agreement_is_the_share_of_draws_with_the_commonest_answer(make_samples, make_snapshot, value_of):
    rows = [("q", 0, "1", False)]
    rows += [("q", d, a, a == "7") for d, a in enumerate(["7", "7", "7", "8"], 1)]
    rows += [("r", d, a, a == "5") for d, a in enumerate(["4", "4", "", "5"], 1)]
    result = calibration(make_snapshot(samples={"val": make_samples(*rows)}))
    assert value_of(result, "answer_confidence_bin", bin=0).value == pytest.approx((0.75 + 0.5) / 2)
    assert value_of(result, "answer_accuracy_bin", bin=0).value == pytest.approx(0.5)
    assert value_of(result, "answer_brier").value == pytest.approx((0.25**2 + 0.5**2) / 2)


def test_agreement_has_no_value_with_one_draw(make_samples, make_snapshot, value_of):
    measurement = value_of(calibration(make_snapshot(samples={"val": make_samples(("q", 1, "7", True))})), "answer_ece")
    assert measurement.value is None
    assert measurement.note == "no question with two draws"


def test_the_temperature_is_chosen_on_val_and_its_gain_reported_for_every_split(make_scores, make_snapshot, value_of):
    x = np.log(np.array(TEMPERATURES))
    course = [[2 + (x - np.log(1.45)) ** 2, 4 + (x - np.log(1.45)) ** 2], [3 + (x - np.log(0.85)) ** 2] * 2]
    scores = {
        s: make_scores([[1.0], [1.0]], tempered=np.array(c)) for s, c in zip(("val", "test"), course, strict=True)
    }
    rows = calibration(make_snapshot(scores=scores))
    assert value_of(rows, "recovery_temperature", "val").value == pytest.approx(1.45)
    assert value_of(rows, "recovered_nll", "val").value == pytest.approx(np.log(1.45) ** 2)
    assert value_of(rows, "recovered_nll", "test").value < 0


def test_without_val_no_temperature_is_chosen(make_scores, make_snapshot, value_of):
    measurement = value_of(calibration(make_snapshot(scores={"test": make_scores([[1.0]])})), "recovered_nll")
    assert measurement.value is None
    assert "no temperature was chosen" in measurement.note


def test_a_confidence_that_is_not_finite_is_no_number_and_the_reason(
    make_scores, make_samples, make_snapshot, value_of
):
    scores = make_scores([[0.1, 0.2], [0.3, 0.1]], top1=[0.0, np.nan, -0.1, -0.1])
    samples = make_samples(("a", 0, "1", True, {"logprob": np.nan}), ("b", 0, "1", True))
    rows = calibration(make_snapshot(scores={"val": scores}, samples={"val": samples}))
    for metric in ("token_ece", "completion_smooth_ece"):
        assert (value_of(rows, metric).value, value_of(rows, metric).note) == (None, "a confidence is not finite")


def test_the_token_that_ends_a_completion_is_one_of_its_tokens(make_samples, make_snapshot, value_of):
    ended = {"tokens": 1, "logprob": 2 * np.log(0.9)}
    cut = {"tokens": 2, "logprob": 2 * np.log(0.9), "stop": "length"}
    empty = {"tokens": 0, "logprob": np.log(0.9)}
    samples = make_samples(("a", 0, "A", True, ended), ("b", 0, "A", True, cut), ("c", 0, "", False, empty))
    measurement = value_of(calibration(make_snapshot(samples={"val": samples})), "completion_overconfidence")
    assert measurement.value == pytest.approx(0.9 - 2 / 3)
    assert measurement.n == 3


def test_a_bin_that_is_all_right_is_as_uncertain_as_the_examples_in_it(make_samples, make_snapshot, value_of):
    rows = [(f"q{i:03d}", 0, "A", i >= 360 or i % 2 == 0, {"logprob": -5.0 + i / 100}) for i in range(400)]
    measurement = value_of(
        calibration(make_snapshot(samples={"val": make_samples(*rows)})), "completion_accuracy_bin", bin=9
    )
    assert (measurement.value, measurement.n) == (1.0, 40)
    assert measurement.low == pytest.approx(0.912, abs=1e-3)


def test_a_temperature_at_the_end_of_those_tried_has_no_interval_and_says_why(make_scores, make_snapshot, value_of):
    falling = np.array([[5.0 - 0.1 * i for i in range(len(TEMPERATURES))]] * 3)
    rows = calibration(make_snapshot(scores={"val": make_scores([[1.0]] * 3, tempered=falling)}))
    measurement = value_of(rows, "recovery_temperature")
    assert measurement.value == pytest.approx(TEMPERATURES[-1])
    assert (measurement.low, measurement.high) == (None, None)
    assert "may lie outside" in measurement.note
