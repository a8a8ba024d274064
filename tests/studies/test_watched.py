"""Judging at every checkpoint: few false warnings, and a warning where there is something to warn of."""

import pytest

from studies.trajectories import World
from studies.watched import page, watched


@pytest.mark.parametrize(
    "shape",
    [pytest.param("healthy, excess just below the limit", marks=pytest.mark.slow), "under-trained", "over-fitted"],
)
def test_warnings_are_rarely_false(shape):
    assert watched(World(shape, 200, loss=0.07), 0.05, 30).false_ever <= 3


def test_an_over_memorized_run_is_warned_of_after_its_onset_and_before_its_end():
    result = watched(World(n=1000), 0.03, 20)
    assert result.onset is not None
    assert len(result.warned) >= 18
    assert result.onset - 100 < sum(result.warned) / len(result.warned) < 900


def test_the_page_has_a_row_for_every_kind_of_run():
    assert page(2, ((100, 0.05),)).count("| 100 | 0.05 |") == 12
