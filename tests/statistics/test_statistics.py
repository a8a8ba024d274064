import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ncx2, sem
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from overmem import statistics
from overmem.records import Estimate
from overmem.statistics.combine import between_runs
from overmem.statistics.reliability import _noncentrality


def test_without_examples_there_is_no_value_but_a_reason():
    for estimate in (
        statistics.mean(np.array([])),
        statistics.share(0, 0),
        statistics.ratio(np.array([]), np.array([])),
    ):
        assert estimate.value is None
        assert estimate.note


def test_one_example_gives_a_value_without_an_interval():
    estimate = statistics.mean(np.array([0.5]))
    assert (estimate.value, estimate.low, estimate.n) == (0.5, None, 1)


@settings(deadline=None, derandomize=True, max_examples=12)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=12))
def test_holm_equals_statsmodels_on_the_known_p_values(p):
    p_values = [x for x in p if x is not None]
    adjusted = statistics.holm(p)
    assert [x is None for x in adjusted] == [x is None for x in p]
    if p_values:
        np.testing.assert_allclose([x for x in adjusted if x is not None], multipletests(p_values, method="holm")[1])


def test_wilsons_interval_equals_that_of_statsmodels():
    for k, n in ((0, 10), (3, 10), (10, 10), (499, 1000)):
        np.testing.assert_allclose(statistics.wilson(k, n), proportion_confint(k, n, method="wilson"), atol=1e-12)


def test_mcnemars_p_equals_the_exact_one_of_statsmodels():
    rng = np.random.default_rng(0)
    left, right = rng.random(200) < 0.7, rng.random(200) < 0.6
    both, only, other = (left & right).sum(), (left & ~right).sum(), (~left & right).sum()
    table = [[both, only], [other, 200 - both - only - other]]
    assert statistics.mcnemar(left, right) == pytest.approx(reference_mcnemar(table, exact=True).pvalue)
    assert statistics.mcnemar(left, left) == 1.0


def test_newcombes_interval_is_wilsons_squared_and_added_where_nothing_is_correlated():
    left, right = np.ones(54, dtype=bool), np.arange(54) < 48
    estimate = statistics.newcombe(left, right)
    (low, _), (_, high) = statistics.wilson(54, 54), statistics.wilson(48, 54)
    assert estimate.value == pytest.approx(6 / 54)
    assert estimate.low == pytest.approx(6 / 54 - np.hypot(1 - low, high - 48 / 54))


def test_newcombes_interval_is_not_empty_where_every_pair_agrees():
    estimate = statistics.newcombe(np.arange(50) < 40, np.arange(50) < 40)
    assert estimate.low < 0 < estimate.high


def test_newcombes_interval_covers_the_truth_near_one():
    rng, held = np.random.default_rng(1), 0
    for _ in range(1000):
        u = rng.random(100)
        left, right = u < 0.97, u < 0.94
        flip = rng.random(100) < 0.05
        right = right ^ (flip & (u < 0.5))
        truth = 0.97 - (0.94 - 0.05 * 0.5)
        estimate = statistics.newcombe(left, right)
        held += estimate.low <= truth <= estimate.high
    assert 0.93 <= held / 1000 <= 0.995


def test_perfect_agreement_on_few_examples_does_not_prove_a_small_margin():
    assert statistics.noninferior(0.0, 0.0, 0.03, 50) > 0.05
    assert statistics.noninferior(0.0, 0.0, 0.03, 200) < 0.05


def test_noninferiority_at_the_margin_is_a_coin_flip_and_beyond_it_is_not_shown():
    assert statistics.noninferior(-0.03, 0.01, 0.03, 500) == pytest.approx(0.5)
    assert statistics.noninferior(-0.06, 0.01, 0.03, 500) > 0.99


def test_the_tail_of_an_unknown_estimate_is_1():
    assert statistics.tail(float("nan"), 0.0, 1.0, 10) == 1.0
    assert statistics.tail(1.0, 0.0, float("inf"), 10) == 1.0


def test_bootstrap_weights_are_seeded_and_add_up():
    one, same, other = (statistics.bootstrap_weights(50, 20, name) for name in ("a", "a", "b"))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    np.testing.assert_array_equal(one.sum(1), 50)


def test_the_bootstrap_draws_whole_clusters():
    clusters = np.array([3, 3, 3, 7, 7, 9])
    weights = statistics.bootstrap_weights(6, 30, "c", clusters=clusters)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, [0, 3, 5]].sum(1) == 3).all()


def test_the_bootstrap_error_of_a_mean_equals_the_theoretical_one():
    x = np.random.default_rng(2).normal(size=400)
    resampled = statistics.bootstrap_weights(400, 4000, "mean") @ x / 400
    assert resampled.std() == pytest.approx(x.std() / 20, rel=0.06)


def test_resamples_without_a_value_give_no_interval():
    result = statistics.percentiles(np.full(100, np.nan), 1.0, 30)
    assert (result.value, result.low) == (1.0, None)
    assert result.note


def test_ratio_of_sums_covers_the_truth():
    rng, held = np.random.default_rng(3), 0
    for _ in range(1000):
        tokens = rng.integers(5, 60, 80).astype(float)
        estimate = statistics.ratio(tokens * rng.lognormal(-0.5 * 0.25, 0.5, 80), tokens)
        held += estimate.low <= 1.0 <= estimate.high
    assert 0.91 <= held / 1000 <= 0.97


def test_one_seed_gives_no_interval_over_seeds():
    estimate = statistics.across_seeds([0.7], [0.01])
    assert (estimate.value, estimate.low, estimate.n) == (0.7, None, 1)
    assert statistics.across_seeds([], []).value is None


def test_seeds_that_differ_widen_the_interval_beyond_the_errors_of_each():
    apart, alike = (
        statistics.across_seeds([0.6, 0.7, 0.8], [0.01] * 3),
        statistics.across_seeds([0.69, 0.70, 0.71], [0.01] * 3),
    )
    assert apart.high - apart.low > 5 * (alike.high - alike.low)
    assert apart.value == pytest.approx(0.7, abs=1e-6)


def test_examples_needed_and_detectable_difference_are_each_others_inverse():
    n = statistics.examples_needed(0.3, 0.03)
    assert statistics.detectable(0.3, n) == pytest.approx(0.03, rel=0.01)
    assert statistics.examples_needed(0.3, 0.0) is None


def test_seeds_that_agree_by_luck_do_not_make_an_interval_of_no_width():
    estimate = statistics.across_seeds([0.70, 0.70, 0.70], [0.02] * 3)
    assert estimate.high - estimate.low > 2 * 1.96 * 0.02 / np.sqrt(3)


def test_runs_are_combined_as_statsmodels_combines_them():
    rng = np.random.default_rng(3)
    for k in (2, 3, 5, 12):
        for spread in (0.0, 0.01, 0.2):
            values, stderrs = rng.normal(0.7, spread + 0.01, k), rng.uniform(0.005, 0.05, k)
            reference = combine_effects(values, stderrs**2, method_re="iterated", use_t=True)
            between = between_runs(values, stderrs**2)
            assert between == pytest.approx(max(reference.tau2, 0.0), rel=1e-4, abs=1e-9)
            estimate = statistics.across_seeds(list(values), list(stderrs))
            assert estimate.value == pytest.approx(reference.mean_effect_re, abs=1e-6)
            stderr = max(reference.sd_eff_w_re_hksj, reference.sd_eff_w_re)
            assert estimate.stderr == pytest.approx(stderr, rel=1e-4)
            assert estimate.n == k


def test_one_function_makes_a_probe_s_number_and_a_verdict_s():
    estimate = statistics.mean(np.array([0.1, 0.2, 0.4]))
    assert isinstance(estimate, Estimate)
    assert estimate.stderr == pytest.approx(sem([0.1, 0.2, 0.4]))
    assert statistics.ratio(np.array([1.0, np.nan]), np.ones(2)).note == "not finite on 1 of 2 examples"


@pytest.mark.parametrize("x", [0.01, 0.5, 5.0, 1e3, 1e6])
@pytest.mark.parametrize("chance", [0.025, 0.95])
def test_the_noncentrality_is_where_the_distribution_has_the_chance(x, chance):
    size = _noncentrality(x, 3.3, lambda _: chance)
    if size == 0:
        assert ncx2.cdf(x, 3.3, 1e-9) < chance + 1e-6
    else:
        assert ncx2.cdf(x, 3.3, size) == pytest.approx(chance, rel=1e-6)


def test_a_calibration_error_far_above_its_noise_has_an_interval():
    """Its chi-square variable is beyond what scipy computes."""
    for x in (1.2e10, 1e13):
        found = _noncentrality(x, 1.0, lambda size: 0.025)
        assert found == pytest.approx(x + 1.96 * 2 * x**0.5, rel=1e-6)
