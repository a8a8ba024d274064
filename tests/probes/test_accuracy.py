from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from overmem.probes.accuracy import accuracy
from overmem.records import Checkpoint, Samples, Snapshot


def snapshot_of(*rows):
    """Rows are (example id, draw, correct, stop)."""
    ids, draws, correct, stop = zip(*rows, strict=True)
    n = len(rows)
    answers = tuple("7" if c else "" for c in correct)
    samples = Samples(
        ids, np.array(draws), np.array([0.0 if d == 0 else 1.0 for d in draws]), ("",) * n, np.full(n, 5), np.zeros(n),
        stop, answers, np.array(correct),
    )  # fmt: skip
    return Snapshot(Checkpoint("checkpoint-1", 1), {"val": ()}, {}, {"val": samples})


def metric(snapshot, name):
    return next(r for r in accuracy(snapshot) if r.metric == name)


def test_greedy_accuracy_has_wilsons_interval():
    snapshot = snapshot_of(*[(str(i), 0, i < 9, "eos") for i in range(10)])
    measurement = metric(snapshot, "accuracy")
    assert (measurement.value, measurement.n) == (0.9, 10)
    assert (measurement.low, measurement.high) == pytest.approx(proportion_confint(9, 10, method="wilson"))


def test_all_correct_answers_give_an_interval_up_to_1_that_is_not_empty():
    measurement = metric(snapshot_of(("a", 0, True, "eos"), ("b", 0, True, "eos")), "accuracy")
    assert measurement.high == 1.0
    assert measurement.low == pytest.approx(proportion_confint(2, 2, method="wilson")[0])


def test_draws_are_not_greedy_completions_and_are_averaged_within_their_question():
    snapshot = snapshot_of(("a", 0, False, "eos"), ("a", 1, True, "eos"), ("a", 2, True, "eos"), ("b", 1, False, "eos"))
    assert metric(snapshot, "accuracy").value == 0.0
    measurement = metric(snapshot, "sample_accuracy")
    assert (measurement.value, measurement.n) == (0.5, 2)


def test_more_draws_of_the_same_questions_do_not_narrow_the_interval_as_more_questions_would():
    few = snapshot_of(*[(str(q), d, q < 5, "eos") for q in range(10) for d in (1, 2)])
    many = snapshot_of(*[(str(q), d, q < 5, "eos") for q in range(10) for d in range(1, 21)])
    one, two = metric(few, "sample_accuracy"), metric(many, "sample_accuracy")
    assert (one.low, one.high) == pytest.approx((two.low, two.high))


def test_a_prompt_that_did_not_fit_is_left_out_and_reported(make_scores):
    scores = replace(make_scores([[0.1, 0.2]], ids=["a"]), truncated=1)
    measurement = metric(replace(snapshot_of(("a", 0, True, "eos")), scores={"val": scores}), "accuracy")
    assert (measurement.value, measurement.n) == (1.0, 1)
    assert measurement.note == "1 examples left out: longer than the context window"


def test_without_draws_sample_accuracy_has_no_value_but_a_reason():
    measurement = metric(snapshot_of(("a", 0, True, "eos")), "sample_accuracy")
    assert measurement.value is None
    assert measurement.note == "no sampled completion"


def test_an_unread_answer_and_a_cut_off_completion_are_counted():
    snapshot = snapshot_of(("a", 0, True, "eos"), ("b", 0, False, "length"))
    assert (metric(snapshot, "unanswered").value, metric(snapshot, "cut_off").value) == (0.5, 0.5)
