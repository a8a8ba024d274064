import numpy as np
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from overmem.probes.ood import ood


def split(make_samples, right, n):
    return make_samples(*[(f"q{i}", 0, "1", i < right) for i in range(n)])


def test_the_drop_against_test_has_newcombes_interval(make_samples, make_snapshot, value_of):
    snapshot = make_snapshot(samples={"test": split(make_samples, 30, 40), "ood-a": split(make_samples, 9, 20)})
    measurement = value_of(ood(snapshot), "accuracy_drop", "ood-a")
    low, high = confint_proportions_2indep(30, 40, 9, 20, compare="diff", method="newcomb")
    assert measurement.value == pytest.approx(0.3)
    assert (measurement.low, measurement.high) == pytest.approx((low, high))


def test_the_mean_weighs_every_set_alike_whatever_its_size(make_samples, make_snapshot, value_of):
    sets = {
        "test": split(make_samples, 9, 10),
        "ood-a": split(make_samples, 10, 100),
        "ood-b": split(make_samples, 5, 10),
    }
    rows = ood(make_snapshot(samples=sets))
    assert value_of(rows, "accuracy", "ood").value == pytest.approx(0.3)
    assert value_of(rows, "accuracy_drop", "ood").value == pytest.approx(0.6)


def test_the_interval_for_other_sets_is_students_over_the_sets(make_samples, make_snapshot, value_of):
    sets = {
        "test": split(make_samples, 9, 10),
        "ood-a": split(make_samples, 10, 100),
        "ood-b": split(make_samples, 5, 10),
    }
    measurement = value_of(ood(make_snapshot(samples=sets)), "accuracy_drop_new_sets", "ood")
    assert measurement.value == pytest.approx(0.6)
    test_high = proportion_confint(9, 10, method="wilson")[1] - 0.9  # test itself is known with an error too
    assert measurement.high == pytest.approx(0.6 + np.hypot(12.7062 * 0.2, test_high), abs=1e-3)
    equal = {name: split(make_samples, 5, 10) for name in ("test", "ood-a", "ood-b")}
    measurement = value_of(ood(make_snapshot(samples=equal)), "accuracy_drop_new_sets", "ood")
    assert measurement.low < 0 < measurement.high


def test_a_set_without_completions_is_left_out_of_the_mean_and_reported(make_samples, make_snapshot, value_of):
    sets = {"test": split(make_samples, 9, 10), "ood-a": split(make_samples, 10, 100)}
    snapshot = make_snapshot(samples=sets, notes={("ood-b", "samples"): "disk full"})
    rows = ood(snapshot)
    assert value_of(rows, "accuracy_drop", "ood-b").note == "disk full"
    assert "1 without a value" in value_of(rows, "accuracy", "ood").note


def test_the_nll_rise_is_that_of_the_set_over_test(make_scores, make_snapshot, value_of):
    scores = {"test": make_scores([[1.0], [2.0]]), "ood-a": make_scores([[3.0, 3.0], [4.0]])}
    measurement = value_of(ood(make_snapshot(scores=scores)), "nll_rise", "ood-a")
    assert measurement.value == pytest.approx(10 / 3 - 1.5)
    assert measurement.n == 2


def test_the_mean_nll_weighs_every_set_alike(make_scores, make_snapshot, value_of):
    scores = {"test": make_scores([[1.0], [2.0]])}
    scores |= {"ood-a": make_scores([[3.0, 3.0], [4.0]]), "ood-b": make_scores([[2.0]] * 9 + [[1.0]])}
    rows = ood(make_snapshot(scores=scores))
    assert value_of(rows, "nll", "ood").value == pytest.approx((10 / 3 + 1.9) / 2)
    assert value_of(rows, "nll_rise", "ood").value == pytest.approx((10 / 3 + 1.9) / 2 - 1.5)
