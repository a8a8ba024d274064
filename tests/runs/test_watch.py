"""Watching judges checkpoints while another process writes and deletes them."""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml

from overmem import store
from overmem.audit import Audit, audit
from overmem.audit.held import HeldCheckpoints
from overmem.audit.watch import has_ended, watch
from overmem.audit.watch_options import Watch
from overmem.diagnose import Diagnose, diagnose
from overmem.errors import BadRequest


@pytest.fixture
def run(foreign_run, tmp_path):
    """A training that has written nothing yet, and the checkpoints that it will write."""
    folder = tmp_path / "run"
    folder.mkdir()
    coming = {f"checkpoint-{step}": foreign_run / f"checkpoint-{step}" for step in (2, 4)}
    return SimpleNamespace(folder=folder, coming=coming)


def options(run, base, data_file, **more):
    defaults = {"rows": 4, "side_rows": 4, "max_new_tokens": 4, "every": 0.05}
    return Watch(str(run.folder), str(data_file), str(base), **defaults | more)


def test_checkpoints_that_the_trainer_deletes_are_kept_until_they_are_judged(run):
    with HeldCheckpoints(store.open_run(run.folder), every=60.0) as held:
        assert held.names() == []
        shutil.copytree(run.coming["checkpoint-2"], run.folder / "checkpoint-2")
        held.update()
        shutil.rmtree(run.folder / "checkpoint-2")
        assert held.names() == ["checkpoint-2"]
        weights = held.folder / "checkpoint-2" / "model.safetensors"
        assert weights.read_bytes() == (run.coming["checkpoint-2"] / "model.safetensors").read_bytes()
        assert not (held.folder / "checkpoint-2" / "optimizer.pt").exists()
        held.remove(["checkpoint-2"])
        held.update()
        assert held.names() == []
    assert not held.folder.exists()


def test_a_judged_checkpoint_is_linked_again_only_if_it_was_written_again(run):
    shutil.copytree(run.coming["checkpoint-2"], run.folder / "checkpoint-2")
    with HeldCheckpoints(store.open_run(run.folder), every=60.0) as held:
        held.remove(held.names())
        held.update()
        assert held.names() == []
        (run.folder / "checkpoint-2" / "trainer_state.json").touch()
        held.update()
        assert held.names() == ["checkpoint-2"]


def test_an_incomplete_checkpoint_is_not_linked(run):
    folder = shutil.copytree(run.coming["checkpoint-2"], run.folder / "checkpoint-2")
    (folder / "trainer_state.json").unlink()
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-1])
    with HeldCheckpoints(store.open_run(run.folder), every=60.0) as held:
        held.update()
        held.update()
        assert held.names() == []


def test_each_checkpoint_is_judged_and_watching_ends_with_the_training(run, base, data_file):
    verdicts = []

    def sleep(seconds):  # meanwhile the trainer writes one more checkpoint and deletes the previous one
        for old in run.folder.glob("checkpoint-*"):
            shutil.rmtree(old)
        name = next(iter(run.coming))
        shutil.copytree(run.coming.pop(name), run.folder / name)
        time.sleep(0.5)  # ten times the interval between two updates

    done = watch(options(run, base, data_file), judged=verdicts.append, sleep=sleep)
    assert [len(verdict.checkpoints) for verdict in verdicts] == [2, 3]
    assert [c.checkpoint.name for c in verdicts[-1].checkpoints] == ["base", "checkpoint-2", "checkpoint-4"]
    assert (done.run.root, done.failures) == (run.folder, {})
    home = run.folder / "overmem"
    assert (home / "report.html").is_file()
    last = json.loads((home / "verdict.json").read_text())
    again = audit(Audit(str(run.folder)))
    assert again.computed == 0
    diagnose(Diagnose(str(run.folder)))
    assert json.loads((home / "verdict.json").read_text()) == last


def test_a_training_has_ended_by_its_state_or_by_its_process(run, foreign_run):
    files = store.open_run(run.folder)
    assert not has_ended(files, None)
    shutil.copytree(run.coming["checkpoint-2"], run.folder / "checkpoint-2")
    assert not has_ended(files, None)
    shutil.copy(run.coming["checkpoint-2"] / "trainer_state.json", run.folder)  # written at an early stop
    assert has_ended(files, None)
    (run.folder / "trainer_state.json").unlink()
    shutil.copytree(run.coming["checkpoint-4"], run.folder / "checkpoint-4")
    assert has_ended(files, None)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert not has_ended(files, process.pid)
    process.communicate(b"")
    assert has_ended(files, process.pid)


def test_a_training_that_writes_nothing_is_an_error(run, base, data_file):
    with pytest.raises(BadRequest, match="no checkpoint was written"):
        watch(options(run, base, data_file, idle="0.1s"))


def losses(run):
    return [row["loss"] for row in store.read_log_history(store.open_run(run)) if "loss" in row]


@pytest.mark.slow
def test_during_a_real_training_that_keeps_two_checkpoints_all_are_judged(tmp_path):
    recipe = {
        "model": "pebble", "data": {"source": "wordproblems", "train": 160, "val": 24, "test": 24},
        "epochs": 6, "batch_size": 4, "learning_rate": 1e-3, "observe_rows": 0,
        "trainer": {"save_total_limit": 2, "logging_steps": 1, "use_cpu": True},
    }  # fmt: skip
    for name in ("alone", "watched"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(recipe | {"output": str(tmp_path / name)}))
    train = [sys.executable, "-m", "overmem", "train"]
    subprocess.run([*train, str(tmp_path / "alone.yaml")], check=True, capture_output=True)
    (tmp_path / "watched").mkdir()
    training = subprocess.Popen([*train, str(tmp_path / "watched.yaml")], stderr=subprocess.DEVNULL)
    while not (tmp_path / "watched" / "overmem" / "recipe.yaml").is_file():
        assert training.poll() is None
    config = Watch(str(tmp_path / "watched"), rows=24, side_rows=12, max_new_tokens=48, every=0.2, pid=training.pid)
    # The pid of a child exists until it is waited for, so the end of the training is read from the trainer's state.
    done = watch(replace(config, pid=None))
    assert training.wait() == 0
    names = [c.checkpoint.name for c in store.read_verdict(done.run).checkpoints]
    assert names == ["base", *(f"checkpoint-{40 * epoch}" for epoch in range(1, 7))]
    assert sorted(p.name for p in done.run.root.glob("checkpoint-*")) == ["checkpoint-200", "checkpoint-240"]
    assert losses(tmp_path / "watched") == losses(tmp_path / "alone")
    assert len(losses(tmp_path / "alone")) == 240
    last = (done.run.home / "verdict.json").read_bytes()
    assert audit(Audit(str(tmp_path / "watched"))).computed == 0
    diagnose(Diagnose(str(tmp_path / "watched"), save=True))
    assert (done.run.home / "verdict.json").read_bytes() == last
