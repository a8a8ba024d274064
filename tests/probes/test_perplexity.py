import math

import numpy as np
import pytest

from overmem.probes.perplexity import perplexity
from overmem.records import TEMPERATURES, Checkpoint, Scores, Snapshot


def snapshot_of(*nlls):
    """One example for each list of token nlls; a token of nll below 0.7 is the argmax."""
    flat = np.array([x for one in nlls for x in one])
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in nlls])])
    zero = np.zeros(len(flat))
    tempered = np.zeros((len(nlls), len(TEMPERATURES)))
    scores = Scores(
        tuple("abcdef"[: len(nlls)]), offsets, zero.astype(int), -flat, zero, flat < 0.7, zero, zero, zero, tempered
    )
    return Snapshot(Checkpoint("checkpoint-1", 1), {"val": ()}, {"val": scores}, {})


def metric(snapshot, name):
    return next(r for r in perplexity(snapshot) if r.metric == name)


def test_nll_is_a_ratio_of_sums_not_a_mean_of_means():
    snapshot = snapshot_of([1.0, 1.0, 1.0], [3.0])
    assert metric(snapshot, "nll").value == pytest.approx(6 / 4)
    assert metric(snapshot, "example_nll").value == pytest.approx(2.0)


def test_the_standard_error_of_nll_is_that_of_the_linearised_ratio():
    sums, tokens = np.array([3.0, 3.0, 1.0]), np.array([3.0, 1.0, 2.0])
    measurement = metric(snapshot_of([1, 1, 1], [3], [0.5, 0.5]), "nll")
    residual = (sums - sums.sum() / tokens.sum() * tokens) / tokens.mean()
    assert measurement.stderr == pytest.approx(np.sqrt(np.var(residual, ddof=1) / 3))


def test_the_interval_of_perplexity_is_exp_of_that_of_nll():
    snapshot = snapshot_of([1.0, 0.2], [0.4], [2.0])
    nll, ppl = metric(snapshot, "nll"), metric(snapshot, "perplexity")
    assert (ppl.value, ppl.low, ppl.high) == pytest.approx((math.exp(nll.value), math.exp(nll.low), math.exp(nll.high)))


def test_token_accuracy_is_the_share_of_tokens_that_are_the_argmax():
    assert metric(snapshot_of([0.1, 2.0], [0.5, 0.1]), "token_accuracy").value == pytest.approx(0.75)


def test_one_example_has_a_value_and_no_interval():
    measurement = metric(snapshot_of([1.0, 2.0]), "nll")
    assert (measurement.value, measurement.low, measurement.high, measurement.n) == (1.5, None, None, 1)
    assert "no interval" in measurement.note


def test_an_nll_that_is_not_a_number_gives_no_value_but_a_reason():
    measurement = metric(snapshot_of([1.0, math.nan], [1.0]), "nll")
    assert measurement.value is None
    assert "not finite" in measurement.note


def test_an_example_that_is_not_a_number_does_not_spoil_the_sums_of_those_after_it():
    scores = snapshot_of([math.nan], [1.0, 2.0], [0.5]).scores["val"]
    assert list(scores.nll_sums[1:]) == [3.0, 0.5]


def test_the_sums_over_no_example_are_floats(make_scores):
    assert make_scores([]).nll_sums.dtype == np.float64
