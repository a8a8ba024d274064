import pytest

from overmem.probes.memorization import extraction_strength, memorization
from overmem.records import Example


def test_extraction_strength_is_what_no_prefix_has_to_give(make_scores):
    nothing_missed, first_missed, last_missed = [0.1] * 4, [2.0, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 2.0]
    scores = make_scores([nothing_missed, first_missed, last_missed])
    assert list(extraction_strength(scores)) == [1.0, 0.75, 0.0]


def test_exact_is_over_tokens_and_strength_is_over_examples(make_scores, make_snapshot, value_of):
    rows = memorization(make_snapshot(scores={"train": make_scores([[0.1] * 6, [0.1, 2.0]])}))
    assert value_of(rows, "exact").value == pytest.approx(7 / 8)
    assert value_of(rows, "extraction_strength").value == pytest.approx(0.5)
    assert value_of(rows, "wholly_extractable").value == 0.5


def test_gaps_are_positive_where_train_is_known_better(make_scores, make_snapshot, value_of):
    scores = {"train": make_scores([[0.1, 0.2], [0.1, 0.1]]), "val": make_scores([[0.1, 2.0], [3.0, 0.1]])}
    rows = memorization(make_snapshot(scores=scores))
    assert value_of(rows, "nll_gap").value == pytest.approx((5.2 - 0.5) / 4)
    assert value_of(rows, "exact_gap").value == pytest.approx(0.5)


def test_without_val_there_is_no_gap_and_a_reason(make_scores, make_snapshot, value_of):
    measurement = value_of(memorization(make_snapshot(scores={"train": make_scores([[0.1]])})), "nll_gap")
    assert measurement.value is None
    assert measurement.note == "the split val was not observed"


def test_a_completion_is_compared_with_the_solution_word_by_word(make_samples, make_snapshot, value_of):
    examples = {"train": tuple(Example(i, "?", "Two and two are 4.", "4") for i in "abc")}
    written = ["two  and two are 4 .", "Two and 3", "Three"]
    samples = {"train": make_samples(*[(i, 0, "4", True, {"text": t}) for i, t in zip("abc", written, strict=True)])}
    rows = memorization(make_snapshot(samples=samples, examples=examples))
    assert value_of(rows, "verbatim").value == pytest.approx(1 / 3)
    assert value_of(rows, "verbatim_prefix").value == pytest.approx((1 + 2 / 6 + 0) / 3)


def test_a_completion_that_continues_is_not_verbatim_but_has_the_whole_prefix(make_samples, make_snapshot, value_of):
    examples = {"train": (Example("a", "?", "It is 4.", "4"),)}
    samples = {"train": make_samples(("a", 0, "4", True, {"text": "It is 4. Or 5."}))}
    rows = memorization(make_snapshot(samples=samples, examples=examples))
    assert (value_of(rows, "verbatim").value, value_of(rows, "verbatim_prefix").value) == (0.0, 1.0)


def test_a_completion_that_was_cut_before_it_went_astray_is_left_out(make_samples, make_snapshot, value_of):
    examples = {"train": tuple(Example(i, "?", "Two and two are 4.", "4") for i in "ab")}
    rows = [("a", 0, "", False, {"text": "Two and", "stop": "length"}), ("b", 0, "", False, {"text": "Two and 3"})]
    rows = memorization(make_snapshot(samples={"train": make_samples(*rows)}, examples=examples))
    measurement = value_of(rows, "verbatim")
    assert (measurement.value, measurement.n) == (0.0, 1)
    assert measurement.note == "1 left out: word for word up to the length limit"
