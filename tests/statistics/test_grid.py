import numpy as np
import pytest

from overmem.statistics.grid import smallest_denominator
from overmem.store.logs.sample_size import examples_behind, rows_evaluated


@pytest.mark.parametrize(("n", "decimals"), [(4, 4), (7, 4), (97, 4), (652, 5), (1849, 16)])
def test_n_is_inferred_from_shares_of_n_examples(n, decimals):
    counts = np.unique(np.linspace(1, n - 1, 12).round())
    assert smallest_denominator(np.round(counts / n, decimals), decimals) == n


@pytest.mark.parametrize("seed", range(5))
def test_no_n_is_inferred_from_values_on_no_grid(seed):
    values = np.random.default_rng(seed).uniform(0.2, 0.9, 6)
    assert smallest_denominator(values.round(4), 4) is None
    assert smallest_denominator(values, 16) is None


def test_no_n_is_inferred_from_shares_of_0_and_1():
    assert smallest_denominator(np.array([0.0, 1.0, 1.0]), 4) is None


def test_trailing_zeros_are_inferred_from_the_losses():
    assert examples_behind([0.25, 0.25], [0.7961, 0.8092]) == 4
    assert examples_behind([25.0, 75.0], [0.7961, 0.8092], percent=True) == 4


def test_means_in_single_precision_lie_on_their_grid():
    shares = [float(np.float32(k / 311)) for k in (101, 145, 200, 222)]
    assert examples_behind(shares, [0.5]) == 311


def test_duration_times_speed_brackets_the_rows():
    rows = [
        {"eval_runtime": round(t, 4), "eval_samples_per_second": round(1319 / t, 3)} for t in (61.23456, 59.9, 70.1)
    ]
    assert rows_evaluated(rows) == 1319
    assert rows_evaluated([{"eval_runtime": 3000.0, "eval_samples_per_second": 2.0}]) is None
    assert rows_evaluated([]) is None
