import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from overmem.probes.robustness import robustness
from overmem.records import Example
from overmem.statistics import Z, tango

BEFORE = [1, 1, 1, 1, 1, 1, 0, 0, 0, 0]
AFTER = [1, 1, 0, 0, 0, 0, 1, 0, 0, 0]


@pytest.fixture
def snapshot(make_samples, make_snapshot):
    before = [(f"q{i}", 0, str(i) if c else "x", bool(c)) for i, c in enumerate(BEFORE)]
    after = [(f"q{i}+typos", 0, str(i) if c else "x", bool(c)) for i, c in enumerate(AFTER)]
    return make_snapshot(samples={"test": make_samples(*before), "test+typos": make_samples(*after[::-1])})


def test_a_drop_is_paired_by_the_id_of_the_original(snapshot, value_of):
    rows = robustness(snapshot)
    measurement = value_of(rows, "accuracy_drop", "test+typos")
    assert (measurement.value, measurement.n) == (pytest.approx(0.3), 10)


def test_the_p_value_is_mcnemars_exact_one(snapshot, value_of):
    measurement = value_of(robustness(snapshot), "mcnemar_p", "test+typos")
    assert measurement.value == pytest.approx(mcnemar(np.array([[2, 4], [1, 3]]), exact=True).pvalue)
    assert measurement.note == "4 lost, 1 won"


def table(lost, won, n):
    kind = np.array([0] * lost + [1] * won + [2] * (n - lost - won))
    return (kind == 0) | (kind == 2), kind >= 1


@pytest.mark.parametrize(("lost", "won"), [(6, 0), (5, 0), (4, 0), (3, 0), (15, 4), (15, 5), (15, 6), (15, 7)])
def test_the_interval_holds_0_just_where_mcnemars_score_test_does_not_reject(lost, won):
    estimate = tango(*table(lost, won, 60))
    assert (estimate.low <= 0 <= estimate.high) is ((lost - won) ** 2 / (lost + won) <= Z**2)


def test_no_changed_answer_is_an_interval_that_is_not_empty():
    estimate = tango(*table(0, 0, 40))
    assert estimate.value == 0.0
    assert (estimate.low, estimate.high) == pytest.approx((-(Z**2) / (40 + Z**2), Z**2 / (40 + Z**2)))


def test_every_answer_lost_is_a_drop_of_1_that_may_be_less():
    estimate = tango(*table(10, 0, 10))
    assert (estimate.value, estimate.high) == (1.0, pytest.approx(1.0))
    assert 0.4 < estimate.low < 1.0


def test_drop_rate_success_on_pairs_and_limem_by_hand(snapshot, value_of):
    rows = robustness(snapshot)
    assert value_of(rows, "pdr").value == pytest.approx(1 - 3 / 6)
    assert value_of(rows, "asp").value == pytest.approx(2 / 10)
    assert value_of(rows, "limem").value == pytest.approx(6 / 10 * (1 - 2 / 6))


def test_two_wrong_answers_that_are_the_same_are_consistent(snapshot, value_of):
    assert value_of(robustness(snapshot), "consistency").value == pytest.approx(5 / 10)


def test_two_answers_that_could_not_be_read_are_not_consistent(make_samples, make_snapshot, value_of):
    splits = {"test": make_samples(("q", 0, "", False)), "test+typos": make_samples(("q+typos", 0, "", False))}
    assert value_of(robustness(make_snapshot(samples=splits)), "consistency").value == 0.0


def test_a_shift_that_changes_the_answer_has_no_consistency_and_says_why(make_samples, make_snapshot, value_of):
    splits = {"test": make_samples(("q", 0, "7", True)), "test+numbers": make_samples(("q+numbers", 0, "8", True))}
    measurement = value_of(robustness(make_snapshot(samples=splits)), "consistency")
    assert measurement.value is None
    assert "changes the answer" in measurement.note


def test_whether_an_answer_is_kept_is_read_from_the_reference_answers(make_samples, make_snapshot, value_of):
    questions = {
        "test": (Example("p", "Who lies, Ann or Bob?", "", "Ann", "exact"), Example("q", "?", "", "7")),
        "test+names": (
            Example("p+names", "Who lies, Eve or Tom?", "", "Eve", "exact"),
            Example("q+names", "?", "", "7"),
        ),
    }
    splits = {
        "test": make_samples(("p", 0, "Ann", True), ("q", 0, "7.0", True)),
        "test+names": make_samples(("p+names", 0, "Eve", True), ("q+names", 0, "7", True)),
    }
    measurement = value_of(robustness(make_snapshot(samples=splits, examples=questions)), "consistency")
    assert (measurement.value, measurement.n) == (1.0, 1)


@pytest.fixture
def three_wordings(make_samples, make_snapshot):
    answers = {"": "1234", ".": "1934", ".2": "1938", ".3": "1234"}
    splits = {}
    for number, given_answers in answers.items():
        name = f"preamble{number}".rstrip(".") if number else ""
        rows = [(f"q{i}" + (f"+{name}" if name else ""), 0, a, a == str(i + 1)) for i, a in enumerate(given_answers)]
        splits[f"test+{name}" if name else "test"] = make_samples(*rows)
    return make_snapshot(samples=splits)


def test_several_wordings_are_one_cluster_a_question(three_wordings, value_of):
    rows = robustness(three_wordings)
    drop = value_of(rows, "wordings_accuracy_drop", "test+preamble")
    assert (drop.value, drop.n) == (pytest.approx((0 + 2 / 3 + 0 + 1 / 3) / 4), 4)
    assert drop.note == "over preamble, preamble.2, preamble.3"
    assert value_of(rows, "wordings_solved_always", "test+preamble").value == 0.5
    assert value_of(rows, "wordings_consistency", "test+preamble").value == pytest.approx((1 + 1 / 3 + 1 + 1 / 3) / 4)
    assert [r.split for r in rows if r.metric == "wordings_consistency"] == ["test+preamble"]


def test_without_a_solved_question_there_is_no_drop_rate(make_samples, make_snapshot, value_of):
    splits = {"test": make_samples(("q", 0, "7", False)), "test+typos": make_samples(("q+typos", 0, "8", True))}
    measurement = value_of(robustness(make_snapshot(samples=splits)), "pdr")
    assert measurement.value is None
    assert "no question was solved" in measurement.note


def test_without_originals_there_is_no_drop_and_a_reason(make_samples, make_snapshot, value_of):
    splits = {"test+typos": make_samples(("q+typos", 0, "8", True))}
    measurement = value_of(robustness(make_snapshot(samples=splits)), "accuracy_drop")
    assert measurement.value is None
    assert measurement.note == "test: not sampled"


def test_solved_always_needs_every_form(make_samples, make_snapshot, value_of):
    splits = {
        "test": make_samples(("p", 0, "1", True), ("q", 0, "2", True)),
        "test+typos": make_samples(("p+typos", 0, "1", True), ("q+typos", 0, "2", True)),
        "test+suffix": make_samples(("p+suffix", 0, "1", True), ("q+suffix", 0, "5", False)),
    }
    rows = robustness(make_snapshot(samples=splits))
    assert value_of(rows, "solved_always").value == 0.5
    assert value_of(rows, "consistency_of_all").value == 0.5
    assert value_of(rows, "mean_accuracy_drop").value == pytest.approx(0.25)


def test_the_nll_rise_of_equal_solutions_is_the_paired_difference(make_scores, make_snapshot, value_of):
    was, now = [[1.0, 2.0], [3.0], [1.0]], [[2.0, 2.0], [3.5], [1.0]]
    splits = {"test": make_scores(was), "test+typos": make_scores(now, ids=[f"e{i:03d}+typos" for i in range(3)])}
    measurement = value_of(robustness(make_snapshot(scores=splits)), "nll_rise")
    rise, tokens = np.array([1.0, 0.5, 0.0]), np.array([2.0, 1.0, 1.0])
    residual = (rise - rise.sum() / 4 * tokens) / tokens.mean()
    assert measurement.value == pytest.approx(1.5 / 4)
    assert measurement.stderr == pytest.approx(np.sqrt(np.var(residual, ddof=1) / 3))


def told(make_samples, shift, answers):
    return make_samples(*[(f"q{i}+{shift}", 0, a, a == str(i)) for i, a in enumerate(answers)])


def test_a_question_that_keeps_its_answer_in_no_form_says_nothing_of_consistency(make_samples, make_snapshot, value_of):
    plain = make_samples(*[(f"q{i}", 0, str(i), True) for i in range(3)])
    samples = {"test": plain, "test+numbers": told(make_samples, "numbers", ["7", "8", "9"])}
    measurement = value_of(robustness(make_snapshot(samples=samples)), "consistency_of_all")
    assert measurement.value is None
    assert measurement.note == "no question kept its answer in two variants"


def test_where_nothing_changed_no_interval_is_empty(make_samples, make_snapshot, value_of):
    plain = make_samples(*[(f"q{i}", 0, str(i), True) for i in range(8)])
    samples = {"test": plain, "test+typos": told(make_samples, "typos", [str(i) for i in range(8)])}
    rows = robustness(make_snapshot(samples=samples))
    for metric in ("mean_accuracy_drop", "pdr"):
        measurement = value_of(rows, metric)
        assert measurement.value == 0
        assert measurement.low < -0.1
        assert measurement.high > 0.1
