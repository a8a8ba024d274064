"""The onset is never told before a checkpoint that is named healthy."""

import numpy as np
import pytest

from overmem.records import Limits
from overmem.verdict import onset, regimes
from overmem.verdict.onset import after_healthy
from studies.worlds import World, drawn

DRAWS = np.linspace(100, 300, 201)


def test_an_estimate_stays_where_no_healthy_checkpoint_contradicts_it():
    assert after_healthy(np.r_[120.0, DRAWS], None, 300.0) == 120
    assert after_healthy(np.r_[260.0, DRAWS], 200.0, 300.0) == 260


def test_an_estimate_before_the_healthy_checkpoint_is_the_median_of_the_draws_after_it():
    assert after_healthy(np.r_[131.0, DRAWS, np.nan], 200.0, 300.0) == pytest.approx(np.median(DRAWS[DRAWS > 200]))


def test_where_hardly_a_draw_is_left_it_is_the_middle_between_the_two_checkpoints():
    assert after_healthy(np.r_[131.0, np.full(500, 140.0)], 200.0, 300.0) == 250


def test_a_run_without_a_crossing_stays_without_one():
    assert np.isnan(after_healthy(np.r_[np.nan, DRAWS], 200.0, 300.0))


@pytest.mark.parametrize("seed", range(6))
def test_no_simulated_run_has_its_onset_before_its_last_healthy_checkpoint(seed):
    curves = drawn(World(n=400, rise=0.5), "onset after healthy", seed, splits=("val", "train"))
    verdicts = regimes(curves["val"], Limits(), train=curves["train"])
    start = onset(curves["val"], verdicts, draws=200)
    if start is None:
        pytest.skip("nothing is over-memorized")
    shown = next(v.checkpoint.step for v in verdicts if v.checkpoint.name == start.checkpoint)
    healthy = [v.checkpoint.step for v in verdicts if v.regime.startswith("healthy") and v.checkpoint.step < shown]
    assert max(healthy, default=0) < start.step.value <= shown
    assert start.step.low <= start.step.value <= start.step.high
