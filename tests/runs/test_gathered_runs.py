"""Checkpoints that lie apart: folders one by one, ms-swift's version folders, revisions of a hub repository."""

import json
import shutil
from types import SimpleNamespace

import huggingface_hub
import pytest

from overmem import store
from overmem.audit import Audit, audit
from overmem.audit.gather import gathered
from overmem.errors import BadRequest


def small(data_file, base):
    return ("--data", data_file, "--base", base, "--rows", 6, "--max-new-tokens", 8, "--splits", "val")


def test_folders_one_by_one_are_one_run(overmem, foreign_run, base, data_file, tmp_path):
    shutil.copytree(foreign_run / "checkpoint-2", tmp_path / "first" / "final")
    shutil.copytree(foreign_run / "checkpoint-4", tmp_path / "second" / "final")
    folders = [tmp_path / "first" / "final", tmp_path / "second" / "final"]
    done = overmem("audit", *folders, *small(data_file, base))
    assert done.returncode == 0, done.stderr
    (root,) = tmp_path.glob("gathered-*")
    assert "2 checkpoints gathered in" in done.stderr
    run = store.open_run(root)
    names = [c.name for c in store.read_checkpoints(run)]
    assert names == ["base", "first-final-step-2", "second-final-step-4"]
    assert store.read_verdict(run).checkpoints[-1].nll.n == 6
    again = overmem("audit", *folders, *small(data_file, base))
    assert "0 units of work done" in again.stderr


def test_a_folder_without_a_model_is_refused(foreign_run, tmp_path):
    with pytest.raises(BadRequest, match="has no model"):
        gathered([str(foreign_run / "checkpoint-2"), str(tmp_path)], (), print)


def test_the_version_folder_of_ms_swift_is_the_run(foreign_run, base, data_file, tmp_path):
    shutil.copytree(foreign_run, tmp_path / "output" / "v0-20261128-200000")
    config = Audit(str(tmp_path / "output"), str(data_file), str(base), rows=4, max_new_tokens=8, splits=("val",))
    done = audit(config)
    assert [c.name for c in store.read_checkpoints(done.run)] == ["base", "checkpoint-2", "checkpoint-4"]
    assert done.run.root.name == "v0-20261128-200000"
    assert store.open_run(tmp_path / "output").home == done.run.home
    shutil.copytree(foreign_run, tmp_path / "output" / "v1-20261128-210000")
    with pytest.raises(BadRequest, match="name that folder instead"):
        audit(config)


def test_a_final_model_in_the_root_may_be_recommended(foreign_run, base, data_file, tmp_path):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    for file in (run / "checkpoint-4").iterdir():
        shutil.copy(file, run)
    shutil.rmtree(run / "checkpoint-4")
    done = audit(Audit(str(run), str(data_file), str(base), rows=4, max_new_tokens=8, splits=("val",)))
    assert [c.name for c in store.read_checkpoints(done.run)] == ["base", "checkpoint-2", "final"]
    assert done.run.holds_itself("final")


@pytest.fixture
def hub(foreign_run, tmp_path, monkeypatch):
    """A repository with a branch per checkpoint, and commits as the Trainer's push_to_hub makes them."""
    folders = {"step2": "checkpoint-2", "step4": "checkpoint-4", "a1": "checkpoint-2", "b2": "checkpoint-4"}

    class Api:
        def list_repo_refs(self, repository):
            names = [SimpleNamespace(name=n) for n in ("main", "step2", "step4")]
            return SimpleNamespace(branches=names, tags=[])

        def list_repo_commits(self, repository):
            titles = {
                "c3": "End of training",
                "b2": "Training in progress, step 4",
                "a1": "Training in progress, step 2",
            }
            return [SimpleNamespace(commit_id=c, title=t) for c, t in titles.items()]

    def snapshot_download(repository, *, revision, allow_patterns):
        assert repository == "org/model"
        if revision not in folders:
            raise ValueError(f"no revision {revision}")
        target = tmp_path / "cache" / revision
        if not target.exists():
            shutil.copytree(foreign_run / folders[revision], target)
        return str(target)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("operands", "revisions"),
    [(["org/model@step2", "org/model@step4"], []), (["org/model"], ["step*"]), (["org/model"], ["commits"])],
)
def test_revisions_of_a_hub_repository(overmem, base, data_file, tmp_path, operands, revisions):
    more = ("--revisions", *revisions) if revisions else ()
    done = overmem("audit", *operands, *small(data_file, base), *more)
    assert done.returncode == 0, done.stderr
    run = store.open_run(tmp_path / "org--model")
    assert [c.step for c in store.read_checkpoints(run)] == [0, 2, 4]


@pytest.mark.usefixtures("hub")
def test_a_revision_that_there_is_not_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(BadRequest, match="main, step2, step4"):
        gathered(["org/model"], ["epoch*"], print)
    with pytest.raises(BadRequest, match="no revision step9"):
        gathered(["org/model@step9"], (), print)


def test_a_quantised_base_is_said_where_it_is_audited_in_full(foreign_run, base, data_file, tmp_path):
    run, lines = shutil.copytree(foreign_run, tmp_path / "run"), []
    (run / "args.json").write_text(json.dumps({"template": "t", "dataset": ["x"], "quant_bits": 4}))
    audit(Audit(str(run), str(data_file), str(base), rows=4, max_new_tokens=8, splits=("val",)), say=lines.append)
    assert any("trained on a base in 4 bits and are audited on" in line for line in lines)
