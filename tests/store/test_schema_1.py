"""A run that overmem 0.1.0 audited is read whole, and an audit that continues it observes nothing again."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from overmem import store
from overmem.records import SplitName

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def old(tmp_path):
    return store.open_run(shutil.copytree(GOLDEN / "run", tmp_path / "run"))


def notes_of(path):
    return json.loads(pl.read_parquet_metadata(path)["overmem"])


def test_every_table_of_the_kept_run_is_schema_1(old):
    assert {notes_of(path)["schema"] for path in old.home.rglob("*.parquet")} == {1}
    assert json.loads(old.plan_path.read_text())["schema"] == 1


def test_every_kind_of_file_of_schema_1_is_read(old):
    plan = store.read_plan(old)
    assert store.read_recipe(old)["data"]
    assert store.read_log_history(old)
    assert len(store.read_token_texts(old)) == len(pl.read_parquet(old.home / "pieces.parquet"))
    assert set(store.example_splits(old)) == set(plan.splits)
    for name, split in plan.splits.items():
        assert len(store.read_examples(old, name)) == split.n
    for snapshot in store.snapshots(old):
        assert set(snapshot.scores) == set(plan.splits)
        assert set(snapshot.samples) == {name for name in plan.splits if not SplitName.parse(name).attack}
    shutil.copyfile(GOLDEN / "expected" / "measurements.parquet", old.measurements_path)
    assert len(store.read_measurements(old)) == len(pl.read_parquet(old.measurements_path))


def test_every_unit_of_schema_1_is_current_for_its_own_weights_and_request(old):
    units = list((old.home / "observations").glob("*/*.parquet"))
    assert units
    for path in units:
        split, kind, _ = path.name.rsplit(".", 2)
        note = notes_of(path)
        key = {"weights": note["weights"], "request": note["request"]}
        assert store.is_unit_current(old, path.parent.name, split, kind, **key)


def test_a_cached_reader_reads_each_checkpoint_once_and_the_same(old):
    base, *_ = store.read_checkpoints(old)
    read = store.snapshot_reader(old, cache_bytes=2**30)
    assert read(base) is read(base)
    without = store.snapshot_reader(old)
    assert without(base) is not without(base)
    assert (read(base).scores["val"].logprob == without(base).scores["val"].logprob).all()


def damage(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :])


def test_a_unit_with_damaged_pages_is_deleted_so_that_the_next_audit_makes_it(old):
    base, *_ = store.read_checkpoints(old)
    scores, samples = (old.unit_path("base", "val", kind) for kind in ("scores", "samples"))
    damage(scores)
    damage(samples)
    note = notes_of(scores)
    key = {"weights": note["weights"], "request": note["request"]}
    assert store.is_unit_current(old, "base", "val", "scores", **key)  # the metadata alone is intact
    dropped = store.drop_damaged_units(old, "base", store.read_snapshot(old, base).notes)
    assert sorted(dropped) == ["val.samples.parquet", "val.scores.parquet"]
    assert not scores.exists()
    assert not samples.exists()
    assert not store.is_unit_current(old, "base", "val", "scores", **key)
    assert store.drop_damaged_units(old, "base", store.read_snapshot(old, base).notes) == []
