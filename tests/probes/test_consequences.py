import numpy as np
import pytest
from scipy.stats import ttest_rel
from statsmodels.stats.contingency_tables import mcnemar

from overmem.probes.consequences import consequences
from overmem.records import Estimate
from overmem.statistics import holm, p_of_interval, tango


@pytest.fixture
def answered(make_samples):
    """Greedy answers of one split, right where there is a 1."""

    def make(right, suffix=""):
        return make_samples(*[(f"q{i:03d}{suffix}", 0, "7", bool(r)) for i, r in enumerate(right)])

    return make


@pytest.fixture
def compared(make_snapshot):
    """Every cost of a late checkpoint against an early one, by name."""

    def make(good, bad, **more):
        early = make_snapshot(**good, name="checkpoint-1", step=1)
        late = make_snapshot(**bad, name="checkpoint-9", step=9)
        return {c.name: c for c in consequences(early, late, **more)}

    return make


GOOD = np.repeat([True, True, False, False], [60, 20, 2, 18])
BAD = np.repeat([True, False, True, False], [60, 20, 2, 18])


@pytest.mark.parametrize(("split", "name"), [("test+typos", "robustness (typos)"), ("ood-far", "ood-far")])
def test_accuracy_is_paired_has_tangos_interval_and_mcnemars_exact_p(answered, compared, split, name):
    suffix = "+typos" if "+" in split else ""
    costs = compared({"samples": {split: answered(GOOD, suffix)}}, {"samples": {split: answered(BAD, suffix)}})[name]
    assert costs.checkpoint == "checkpoint-9"
    assert costs.difference.value == pytest.approx(0.18)
    expected = tango(GOOD, BAD)
    assert (costs.difference.low, costs.difference.high) == (expected.low, expected.high)
    assert costs.p == pytest.approx(mcnemar(np.array([[60, 20], [2, 18]]), exact=True).pvalue)
    assert costs.confirmed


def test_an_improvement_is_negative_and_never_confirmed(answered, compared):
    costs = compared({"samples": {"ood-far": answered(BAD)}}, {"samples": {"ood-far": answered(GOOD)}})["ood-far"]
    assert costs.difference.value == pytest.approx(-0.18)
    assert costs.p < 0.05
    assert not costs.confirmed


def test_p_values_are_holm_adjusted_over_all_costs(answered, compared):
    half = np.repeat([True, False, True, False], [70, 10, 2, 18])
    good = {"ood-a": answered(GOOD), "ood-b": answered(GOOD)}
    costs = compared({"samples": good}, {"samples": {"ood-a": answered(BAD), "ood-b": answered(half)}})
    alone = [
        compared({"samples": {s: good[s]}}, {"samples": {s: answered(x)}})[s].p
        for s, x in (("ood-a", BAD), ("ood-b", half))
    ]
    mean = costs["ood (mean of sets)"]
    assert [costs["ood-a"].p, costs["ood-b"].p] == holm([*alone, _unadjusted(mean.difference)])[:2]


def _unadjusted(estimate):
    return p_of_interval(estimate)


def test_the_mean_of_sets_weights_each_equally_and_combines_their_intervals(answered, compared):
    few = np.repeat([True, False], [5, 5])
    good = {"ood-a": answered(GOOD), "ood-b": answered(few)}
    costs = compared({"samples": good}, {"samples": {"ood-a": answered(BAD), "ood-b": answered(few)}})
    a, b, mean = (costs[n].difference for n in ("ood-a", "ood-b", "ood (mean of sets)"))
    assert mean.value == pytest.approx((a.value + b.value) / 2)
    assert mean.value - mean.low == pytest.approx(np.hypot(a.value - a.low, b.value - b.low) / 2)
    assert mean.n == a.n + b.n


def test_there_is_no_mean_of_a_single_set(answered, compared):
    assert set(compared({"samples": {"ood-a": answered(GOOD)}}, {"samples": {"ood-a": answered(BAD)}})) == {"ood-a"}


def test_several_wordings_are_averaged_within_their_question(answered, compared):
    good = {"test+typos": answered([1, 1, 0, 1], "+typos"), "test+typos.2": answered([1, 1, 1, 1], "+typos.2")}
    bad = {"test+typos": answered([0, 1, 0, 1], "+typos"), "test+typos.2": answered([0, 0, 1, 1], "+typos.2")}
    costs = compared({"samples": good}, {"samples": bad})["robustness (typos)"]
    assert costs.difference.value == pytest.approx(np.mean([1, 0.5, 0, 0]))
    assert costs.difference.n == 4
    assert "2 variants" in costs.difference.note


@pytest.fixture
def drawn(make_samples):
    """Four draws a question: right ones first; every right one calculates in its own way where `ways` says so."""

    def make(counts, *, ways=1, words=""):
        rows = []
        for q, right in enumerate(counts):
            for d in range(4):
                text = f"{words * d} {d % ways + 1} + 2 = 9"
                more = {"text": text, "logprob": -1.0 - d}
                rows.append((f"q{q:03d}", d + 1, "9" if d < right else str(d), d < right, more))
        return make_samples(*rows)

    return make


def test_draws_are_compared_question_by_question(drawn, compared):
    rng = np.random.default_rng(0)
    before, after = rng.integers(1, 5, 60), rng.integers(0, 4, 60)
    costs = compared({"samples": {"test": drawn(before)}}, {"samples": {"test": drawn(after)}})
    lost = (before > 0).astype(float) - (after > 0)
    assert costs["pass@4"].difference.value == pytest.approx(lost.mean())
    assert costs["best-of-4"].difference.value == pytest.approx(lost.mean())  # the right ones are the likeliest
    assert costs["pass@4"].difference.n == 60
    assert ttest_rel((before > 0).astype(float), (after > 0).astype(float)).pvalue < 0.05
    assert costs["pass@4"].confirmed


def test_different_derivations_are_distinguished_from_different_wordings(drawn, compared):
    good, bad = [4] * 40, [4] * 40
    reworded = compared({"samples": {"test": drawn(good, words="then ")}}, {"samples": {"test": drawn(bad, words="")}})
    assert reworded["diversity (texts)"].difference.value > 0.2
    assert reworded["diversity (solutions)"].difference.value == 0.0
    solved = compared({"samples": {"test": drawn(good, ways=4)}}, {"samples": {"test": drawn(bad, ways=1)}})
    assert solved["diversity (solutions)"].difference.value == pytest.approx(1.0)


def test_calibration_is_compared_on_tokens_and_on_answers(make_scores, drawn, compared):
    rng = np.random.default_rng(1)
    hits = rng.random(1200) < 0.7
    shape = {"nlls": [[0.1] * 6] * 200, "hits": hits}
    good = make_scores(**shape, top1=np.log(np.full(1200, 0.7)))
    bad = make_scores(**shape, top1=np.log(np.full(1200, 0.95)))
    costs = compared(
        {"scores": {"test": good}, "samples": {"test": drawn([4, 0] * 40)}},
        {"scores": {"test": bad}, "samples": {"test": drawn([4, 0] * 40)}},
    )
    assert costs["calibration (tokens)"].difference.value == pytest.approx(0.25, abs=0.03)
    assert costs["calibration (tokens)"].confirmed
    assert costs["calibration (answers)"].difference.value == 0.0
    assert costs["calibration (answers)"].p == 1.0


def test_without_draws_calibration_is_measured_on_greedy_completions(answered, compared):
    costs = compared({"samples": {"test": answered(GOOD)}}, {"samples": {"test": answered(BAD)}})
    assert set(costs) == {"calibration (completions)"}


@pytest.fixture
def known(make_scores):
    """Scores of train and val with the nll of every token."""

    def make(train, val):
        ids = {s: [f"{s}{i:03d}" for i in range(len(x))] for s, x in (("train", train), ("val", val))}
        return {s: make_scores([[x, x] for x in nlls], ids=ids[s]) for s, nlls in (("train", train), ("val", val))}

    return make


def test_membership_is_against_the_base_model_and_extraction_is_of_training_solutions(known, compared, make_snapshot):
    rng = np.random.default_rng(2)
    train, val = rng.gamma(4, 0.5, 80), rng.gamma(4, 0.5, 80)
    base = make_snapshot(scores=known(train, val), name="base", step=0)
    good, bad = known(train * 0.95, val), known(train * 0.05, val)
    costs = compared({"scores": good}, {"scores": bad}, base=base)
    assert costs["membership (ratio)"].difference.value == pytest.approx(0.0)  # both tell all of them apart
    assert costs["membership (ratio)"].difference.low < 0
    assert costs["extraction"].difference.value == pytest.approx(
        np.mean(train * 0.05 < 0.69) - np.mean(train * 0.95 < 0.69)
    )
    assert costs["extraction"].confirmed
    without = compared({"scores": good}, {"scores": bad})
    assert without["membership (loss)"].difference.value > 0.3
    assert without["membership (loss)"].confirmed


def test_examples_that_one_of_the_two_lacks_are_left_out(answered, compared):
    costs = compared({"samples": {"ood-a": answered(GOOD)}}, {"samples": {"ood-a": answered(BAD[:90])}})
    assert costs["ood-a"].difference.n == 90


def test_without_common_observations_there_is_no_consequence(answered, compared):
    assert compared({"samples": {"ood-a": answered(GOOD)}}, {"samples": {"ood-b": answered(BAD)}}) == {}


@pytest.mark.parametrize(("low", "high"), [(0.001, 0.3), (-0.001, 0.3), (-0.3, -0.001), (-0.3, 0.001)])
def test_p_is_under_005_just_where_the_interval_leaves_0_out(low, high):
    value = (low + high) / 2
    assert (p_of_interval(Estimate(value, low, high, 9)) < 0.05) is (low > 0 or high < 0)
