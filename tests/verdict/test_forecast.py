from dataclasses import replace
from math import inf

import numpy as np

from overmem.verdict.forecast import FEWEST, forecast
from overmem.wording.forecast import forecast_sentence
from studies.foresight import costly_step, seen
from studies.trajectories import World, simulated
from studies.worlds import drawn, truth
from studies.worlds.kinds import OVER

RISING = World("over-memorized, minimum before the accuracy", 1000, checkpoints=25)


def test_the_onset_is_forecast_with_an_interval_before_it_happens():
    (curves,) = simulated(RISING, "foretold")
    onset = costly_step(RISING)
    prediction = forecast(seen(curves, 0.8 * onset))
    assert not prediction.begun
    assert prediction.step.low <= onset <= prediction.step.high
    assert prediction.cumulative_lr.low <= onset * RISING.learning_rate <= prediction.cumulative_lr.high
    assert 0.05 < prediction.never < 0.6  # growth that has just begun may level off below the limit
    assert "95% interval" in forecast_sentence(prediction)


def test_what_has_come_is_called_come():
    (curves,) = simulated(RISING, "come")
    prediction = forecast(curves)
    assert prediction.begun
    assert abs(prediction.step.value - costly_step(RISING)) < 80
    assert "already" in forecast_sentence(prediction)


def test_a_flat_run_foretells_nothing():
    (curves,) = simulated(World("flat", 1000, checkpoints=10), "flat")
    prediction = forecast(curves)
    assert prediction.step.high == inf
    assert "does not tell yet" in forecast_sentence(prediction) or "would not be" in forecast_sentence(prediction)


def test_too_few_checkpoints_are_no_number_and_a_reason():
    (curves,) = simulated(World(n=50, checkpoints=FEWEST - 1), "few")
    prediction = forecast(curves)
    assert prediction.step.value is None
    assert forecast_sentence(prediction).startswith("A forecast needs")


def test_more_training_seen_narrows_the_interval():
    (curves,) = simulated(RISING, "narrow")
    widths = [np.subtract(*(lambda s: (s.high, s.low))(forecast(seen(curves, f * 300)).step)) for f in (1.4, 2.0)]
    assert widths[1] < widths[0]


def test_a_rise_that_has_only_just_begun_closes_no_interval_too_early():
    sudden = World("over-memorized", 1000, checkpoints=25, excess=0.3)
    onset, held = costly_step(sudden), 0
    for seed in range(40):
        (curves,) = simulated(sudden, "sudden", seed)
        step = forecast(seen(curves, 0.8 * onset)).step
        held += step.low <= onset <= step.high
    assert held >= 35


def test_the_same_curves_give_the_same_forecast():
    (curves,) = simulated(RISING, "same")
    assert forecast(curves) == forecast(curves)


def ends_flat(**changes):
    world = replace(OVER, checkpoints=50, **changes)
    return world, [drawn(world, "never", seed, splits=("val",))["val"] for seed in range(10)]


def test_a_growth_that_levels_off_below_the_limit_may_never_come():
    _, runs = ends_flat(rise=0.10, growth="saturating")
    for run in runs:
        assert forecast(run, d_nll=0.06).step.high == inf


def test_a_growth_that_begins_just_after_the_last_checkpoint_is_not_excluded():
    world, runs = ends_flat(turn=0.6)
    onset = truth(world).onset
    for run in runs:
        step = forecast(seen(run, 580), d_nll=0.06).step
        assert step.low <= onset <= step.high
