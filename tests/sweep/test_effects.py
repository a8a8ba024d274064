"""Effects, levels and costs over seeds: paired, averaged over the other factors, Holm-corrected."""

import numpy as np
import pytest

from overmem import statistics
from overmem.sweep.effects import effects, factor_levels, levels
from overmem.sweep.outcomes import Outcome, RunOutcomes, paired


def run_of(rate, method, seed, value, *, stderr=0.01, name="excess"):
    outcome = Outcome(value, stderr)
    levels = {"rate": rate, "method": method}
    return RunOutcomes(f"{rate}{method}{seed}", levels, seed, "healthy", {name: outcome}, {name: False})


def answers(right):
    correct = np.array(right, float)
    stderr = statistics.ratio_stderr(correct, np.ones(len(correct)))
    ids = tuple(f"q{i}" for i in range(len(correct)))
    return Outcome(float(correct.mean()), stderr, correct, np.ones(len(correct)), ids)


def test_an_effect_is_the_mean_over_the_other_factors_within_a_seed_and_then_over_seeds():
    values = {("a", "x", 0): 1.0, ("b", "x", 0): 2.0, ("a", "y", 0): 3.0, ("b", "y", 0): 6.0}
    values |= {("a", "x", 1): 1.0, ("b", "x", 1): 2.0, ("a", "y", 1): 1.0, ("b", "y", 1): 2.0}
    runs = [run_of(*key, value) for key, value in values.items()]
    of_rate, of_method = effects(runs)
    assert (of_rate.factor, of_rate.level, of_rate.reference, of_rate.per_seed) == ("rate", "b", "a", (2.0, 1.0))
    assert of_rate.difference.value == pytest.approx(1.5)
    assert of_rate.difference.n == 2
    assert of_method.per_seed == (3.0, 0.0)
    assert factor_levels(runs) == {"rate": ["a", "b"], "method": ["x", "y"]}


def test_p_is_of_the_t_test_over_seeds_and_corrected_by_holm():
    rng = np.random.default_rng(0)
    runs = []
    for seed in range(6):
        noise = rng.normal(0, 0.1, 4)
        runs += [run_of("a", "x", seed, noise[0]), run_of("b", "x", seed, 1 + noise[1])]
        runs += [run_of("a", "y", seed, noise[2]), run_of("b", "y", seed, 1 + noise[3])]
    of_rate, of_method = effects(runs)
    plain = statistics.p_across_seeds(of_rate.difference)
    assert of_rate.p == pytest.approx(2 * plain)
    assert of_rate.p < 0.001 < 0.05 < of_method.p


def test_with_one_seed_there_is_no_interval_and_no_p():
    (effect,) = effects([run_of("a", "x", 0, 1.0), run_of("b", "x", 0, 2.0)])
    assert (effect.difference.value, effect.difference.low, effect.p) == (1.0, None, None)
    assert effect.difference.note == "one seed: no interval over seeds"


def test_the_mean_of_a_share_has_an_interval_of_shares():
    runs = [
        RunOutcomes(
            f"{rate}{seed}", {"rate": rate}, seed, "healthy", {"accuracy": Outcome(value, 0.0)}, {"accuracy": True}
        )
        for rate, values in {"low": (0.01, 0.05, 0.0), "high": (0.99, 0.9, 1.0)}.items()
        for seed, value in enumerate(values)
    ]
    low, high = levels(runs)
    assert (low.estimate.low, high.estimate.high) == (0.0, 1.0)
    assert low.estimate.high > 0.05
    assert high.estimate.low < 0.9


def test_a_difference_of_shares_is_at_most_one_and_its_p_is_of_the_whole_interval():
    rates = {("a", 0): 0.95, ("b", 0): 0.15, ("a", 1): 0.55, ("b", 1): 0.45}
    plain = [run_of(rate, "x", seed, value) for (rate, seed), value in rates.items()]
    shares = [RunOutcomes(r.run, r.levels, r.seed, r.regime, r.outcomes, {"excess": True}) for r in plain]
    (whole,), (bounded,) = effects(plain), effects(shares)
    assert whole.difference.low < -1
    assert (bounded.difference.low, bounded.difference.high) == (-1.0, 1.0)
    assert bounded.p == whole.p


def test_the_same_problems_are_compared_one_by_one():
    left, right = answers([1, 1, 1, 0] * 50), answers([1, 1, 0, 0] * 50)
    difference = paired(left, right)
    assert difference.value == pytest.approx(0.25)
    assert difference.stderr == pytest.approx(np.sqrt(0.25 * 0.75 / 199))
    others = Outcome(right.value, right.stderr)
    assert paired(left, others).stderr == pytest.approx(np.hypot(left.stderr, right.stderr))


def test_a_level_counts_the_runs_that_have_the_outcome():
    runs = [run_of("a", "x", 0, 5.0, name="onset"), run_of("a", "x", 1, 7.0, name="other")]
    runs += [run_of("b", "x", 0, 1.0, name="onset"), run_of("b", "x", 1, 3.0, name="onset")]
    result = {(level.level, level.outcome): level for level in levels(runs)}
    assert (result["a", "onset"].runs, result["a", "onset"].of) == (1, 2)
    assert result["b", "onset"].estimate.value == pytest.approx(2.0)


def test_equal_conditions_differ_significantly_in_at_most_five_percent_of_sweeps():
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(400):
        runs = [
            run_of(rate, method, seed, rng.normal(0, 0.05) + rng.normal(0, 0.01))
            for seed in range(3)
            for rate in "ab"
            for method in "xy"
        ]
        false += any(effect.p < 0.05 for effect in effects(runs))
    low, _ = statistics.wilson(false, 400)
    assert low < 0.05, false
