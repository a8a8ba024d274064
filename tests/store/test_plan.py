"""The plan at the border: written as schema 2, read from 1 and 2, and refused in one line where it is damaged."""

import json
import shutil
from pathlib import Path

import pytest

from overmem import store
from overmem.errors import BadRequest
from overmem.records import SCHEMA, Checkpoint, Plan, PlannedSplit, SplitName


@pytest.fixture
def run(tmp_path):
    return store.open_run(tmp_path)


def test_a_plan_comes_back_as_it_went_in(run):
    plan = Plan({"val": PlannedSplit("r", 3, 1)}, (Checkpoint("base", 0),), {"rows": 3}, carved_splits=("val",))
    store.write_plan(run, plan)
    assert store.read_plan(run) == plan
    assert json.loads(run.plan_path.read_text())["schema"] == SCHEMA


def test_a_plan_of_schema_1_is_read_and_written_as_schema_2(tmp_path):
    shutil.copytree(Path(__file__).parents[1] / "golden" / "run", tmp_path / "run")
    run = store.open_run(tmp_path / "run")
    old = json.loads(run.plan_path.read_text())
    plan = store.read_plan(run)
    assert plan.options == old["audit"]
    assert plan.carved_splits == tuple(old["cut"])
    assert plan.requests == {name: split["request"] for name, split in old["splits"].items()}
    assert [c.name for c in plan.checkpoints] == [c["name"] for c in old["checkpoints"]]
    assert plan.checkpoints[-1].merged_from == ("checkpoint-200", "checkpoint-350")
    store.write_plan(run, plan)
    assert store.read_plan(run) == plan


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "damaged"),
        ("[" * 100_000, "damaged"),
        ("[]", "schema None"),
        ('{"schema": 99}', "schema 99.*reads 1 and 2"),
        ('{"schema": 2, "checkpoints": []}', "splits: field required"),
        ('{"schema": 1, "splits": {}, "checkpoints": [7]}', r"checkpoints\.0"),
        ('{"schema": 1, "splits": {"val": {"request": 3}}, "checkpoints": []}', r"splits\.val\.request"),
        ('{"schema": 1, "splits": {}, "checkpoints": [{"name": "a", "step": "x"}]}', r"checkpoints\.0\.step"),
    ],
)
def test_a_damaged_plan_is_refused_in_one_line(run, text, complaint):
    run.plan_path.parent.mkdir(parents=True)
    run.plan_path.write_text(text)
    with pytest.raises(BadRequest, match=complaint) as raised:
        store.read_plan(run)
    assert str(run.plan_path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("val", SplitName("val")),
        ("ood-longer", SplitName("ood-longer")),
        ("test+typos", SplitName("test", "typos")),
        ("test+typos.2", SplitName("test", "typos", 2)),
        ("test+v1.0", SplitName("test", "v1.0")),
        ("train~recall", SplitName("train", attack="recall")),
        ("test+names.12~neighbour", SplitName("test", "names", 12, "neighbour")),
    ],
)
def test_a_split_name_has_parts_and_they_make_the_name(name, parts):
    assert SplitName.parse(name) == parts
    assert str(parts) == name


def test_split_names_say_what_kind_they_are():
    kinds = [SplitName.parse(name).kind for name in ("train", "val", "test+x", "ood-far", "mine")]
    assert kinds == ["train", "val", "test", "ood", "other"]
    assert not SplitName.parse("ood-far").is_derived
    assert SplitName.parse("val~recall").is_derived
