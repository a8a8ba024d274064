import dataclasses

import numpy as np
import pytest

from overmem.probes.exposure import exposure, ranges

COURSE = [[[1.0, 3.0], [2.0, 2.0]], [[1.0, 1.0], [2.0, 2.0]], [[0.5, 0.5], [2.0, 2.0]]]


@pytest.fixture
def course(make_scores, make_snapshot):
    """Two training examples, one of which is learnt, and two of val, which are not."""
    return [
        make_snapshot(
            scores={"train": make_scores(nlls), "val": make_scores([[2.0], [2.1]], ids=["v1", "v2"])},
            name=f"checkpoint-{step}",
            step=step,
        )
        for step, nlls in enumerate(COURSE)
    ]


def test_a_range_is_the_interquartile_range_of_the_nll_per_token_over_the_checkpoints(course):
    expected = np.subtract(*np.quantile([2.0, 1.0, 0.5], [0.75, 0.25]))
    assert ranges(course, "train") == {"e000": pytest.approx(expected), "e001": 0.0}


def test_the_most_exposed_are_named_and_the_rows_are_of_the_last_checkpoint(course, value_of):
    rows = exposure(course)
    first = value_of(rows, "lt_iqr_exposed", rank=1)
    assert (first.checkpoint, first.step, first.split) == ("checkpoint-2", 2, "train")
    assert (first.at["example"], first.note) == ("e000", "over 3 checkpoints")
    assert value_of(rows, "lt_iqr_exposed", rank=2).at["example"] == "e001"
    assert value_of(rows, "lt_iqr_auroc").value == 0.75


def test_every_training_example_has_a_row_where_all_are_requested(course, value_of):
    assert not [r for r in exposure(course) if r.metric == "lt_iqr"]
    rows = exposure(course, whole=True)
    assert [r.at["example"] for r in rows if r.metric == "lt_iqr"] == ["e000", "e001"]
    assert value_of(rows, "lt_iqr", example="e000").value == value_of(rows, "lt_iqr_exposed", rank=1).value


def test_one_checkpoint_gives_no_range_but_a_reason(course, value_of):
    measurement = value_of(exposure(course[:1]), "lt_iqr_auroc")
    assert measurement.value is None
    assert "needs two" in measurement.note


def test_an_example_that_one_checkpoint_lacks_is_left_out(course, make_scores):
    course[1] = dataclasses.replace(course[1], scores={"train": make_scores([[1.0]])})
    assert list(ranges(course, "train")) == ["e000"]


def test_a_checkpoint_that_was_not_scored_does_not_count(course, value_of):
    course[1] = dataclasses.replace(course[1], scores={})
    assert value_of(exposure(course), "lt_iqr_exposed", rank=1).note == "over 2 checkpoints"


def test_a_last_checkpoint_that_was_not_scored_has_its_own_reason(course, value_of):
    course[2] = dataclasses.replace(course[2], scores={}, notes={("train", "scores"): "disk full"})
    assert value_of(exposure(course[1:]), "lt_iqr_median").note == "disk full"
