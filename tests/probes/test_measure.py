import dataclasses

import pytest

from overmem.probes import PROBES
from overmem.probes.measure import lowest_nll, measured
from overmem.records import Checkpoint

NLLS = {"base": 2.0, "checkpoint-1": 0.5, "checkpoint-2": 0.9, "merged": 0.1}


@pytest.fixture
def run(make_scores, make_snapshot):
    """Four checkpoints by name; the merged one has the lowest nll, and lies on no trajectory."""
    result = {}
    for step, (name, nll) in enumerate(NLLS.items()):
        scores = {split: make_scores([[nll, nll + 0.1], [nll]]) for split in ("train", "val", "test")}
        result[name] = make_snapshot(scores=scores, name=name, step=step)
    merged = dataclasses.replace(result["merged"].checkpoint, merged_from=("checkpoint-1", "checkpoint-2"))
    result["merged"] = dataclasses.replace(result["merged"], checkpoint=merged)
    return result


def rows_of(run):
    return list(measured([s.checkpoint for s in run.values()], lambda c: run[c.name]))


def test_every_probe_measures_every_checkpoint_and_no_number_comes_twice(run):
    rows = rows_of(run)
    keys = [(r.checkpoint, r.split, r.probe, r.metric, *r.at.items()) for r in rows]
    assert len(set(keys)) == len(keys)
    assert {(r.checkpoint, r.probe) for r in rows} == {(name, probe) for name in run for probe in PROBES}


def test_the_excess_is_over_the_trained_or_base_checkpoint_of_the_lowest_nll(run):
    by_checkpoint = {r.checkpoint: r for r in rows_of(run) if (r.split, r.metric) == ("test", "excess")}
    assert by_checkpoint["checkpoint-2"].value == pytest.approx(0.4)
    assert all(r.at == {"reference": "checkpoint-1"} for r in by_checkpoint.values())
    assert by_checkpoint["checkpoint-1"].value == 0.0


def test_attacks_are_against_the_base_model(run):
    by_checkpoint = {r.checkpoint: r for r in rows_of(run) if (r.metric, r.at.get("rank")) == ("exposed", 1)}
    assert by_checkpoint["checkpoint-1"].value == pytest.approx(1.5)
    assert by_checkpoint["checkpoint-1"].at["by"] == "diff"


def test_exposure_grows_along_the_run_and_leaves_merged_checkpoints_out(run):
    rows = [r for r in rows_of(run) if (r.metric, r.at.get("rank")) == ("lt_iqr_exposed", 1)]
    assert [r.checkpoint for r in rows] == ["base", "checkpoint-1", "checkpoint-2"]
    assert rows[0].value is None
    assert {r.checkpoint for r in rows_of(run) if r.metric == "lt_iqr"} == {"checkpoint-2"}


def test_a_single_scored_checkpoint_gives_no_minimum(run):
    assert lowest_nll([run["base"]]) is None
    assert lowest_nll([run["base"], dataclasses.replace(run["checkpoint-1"], scores={})]) is None
    assert lowest_nll(list(run.values())[:3]) == Checkpoint("checkpoint-1", 1)
