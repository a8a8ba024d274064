"""Runs that overmem did not make, audited and judged by the real command."""

import itertools
import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from overmem import store
from overmem.audit import Audit, audit
from overmem.errors import BadCheckpoint, BadRequest
from overmem.models.loading import Skeleton

PAIRS = list(itertools.product(range(9), range(9)))


@pytest.fixture
def run(foreign_run, tmp_path):
    return shutil.copytree(foreign_run, tmp_path / "run")


def test_one_command_audits_judges_and_draws_a_plain_trainers_run(overmem, run, base, data_file):
    done = overmem("audit", run, "--data", data_file, "--base", base, "--rows", 6, "--max-new-tokens", 8)
    assert done.returncode == 0, done.stderr
    assert [c.name for c in store.read_checkpoints(store.open_run(run))] == ["base", "checkpoint-2", "checkpoint-4"]
    assert store.read_verdict(store.open_run(run)).checkpoints[-1].accuracy.n > 0
    assert "checkpoint-4" in done.stdout
    assert "</html>" in store.open_run(run).report_path.read_text()
    again = overmem("audit", run, "--data", data_file, "--base", base, "--rows", 6, "--max-new-tokens", 8)
    assert "0 units of work done" in again.stderr


def test_diagnose_prints_json_and_fails_a_pipeline_on_request(overmem, audited):
    run = audited[1].run.root
    done = overmem("diagnose", run, "--json", "--fail-on", "never")
    assert done.returncode == 0
    assert json.loads(done.stdout)["regime"]
    wrong = overmem("diagnose", run, "--fail-on", "sunny")
    assert wrong.returncode == 2
    assert "sunny" in wrong.stderr
    assert "over-memorized" in wrong.stderr


def test_measurements_do_not_depend_on_batches(run, base, data_file):
    options = {"data": str(data_file), "base": str(base), "rows": 8, "max_new_tokens": 8, "draws": 2}
    wide = audit(Audit(str(run), **options, out=str(run / "wide")))
    narrow = audit(Audit(str(run), **options, out=str(run / "narrow"), token_budget=1))
    assert len(wide.measurements) == len(narrow.measurements) > 0
    for a, b in zip(wide.measurements, narrow.measurements, strict=True):
        assert (a.checkpoint, a.split, a.metric, a.n) == (b.checkpoint, b.split, b.metric, b.n)
        assert (a.value is None) == (b.value is None)
        if a.value is not None:
            assert a.value == pytest.approx(b.value, rel=1e-3, abs=1e-4), a.metric


def test_a_truncated_checkpoint_is_noted_and_the_audit_continues(overmem, run, base, data_file):
    weights = run / "checkpoint-2" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    done = overmem("audit", run, "--data", data_file, "--base", base, "--rows", 6, "--max-new-tokens", 8)
    assert done.returncode == 1
    assert "checkpoint-2" in done.stderr
    rows = store.read_measurements(store.open_run(run))
    broken = [m for m in rows if m.checkpoint == "checkpoint-2"]
    assert broken
    assert all(m.value is None and "checkpoint-2" in m.note for m in broken if m.metric == "nll")
    assert all(
        m.value is not None for m in rows if m.checkpoint == "checkpoint-4" and m.metric == "nll" and m.split == "val"
    )


@pytest.mark.parametrize(
    "error", [AttributeError("no such layer"), ValueError("shape\nof 3"), ImportError("no kernel")]
)
def test_a_checkpoint_whose_forward_pass_fails_is_noted_and_the_others_are_observed(
    run, base, data_file, monkeypatch, error
):
    load = Skeleton.model

    def model_of(skeleton, ref):
        skeleton._model = None  # so that the hook of one checkpoint is not on the model of the next
        model = load(skeleton, ref)
        if ref.checkpoint.name == "checkpoint-2":
            model.model.register_forward_pre_hook(fail)
        return model

    def fail(module, inputs):
        raise error

    monkeypatch.setattr(Skeleton, "model", model_of)
    done = audit(Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8, splits=("val",)))
    assert done.failures == {"checkpoint-2": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    nll = {m.checkpoint: m for m in done.measurements if m.metric == "nll" and m.split == "val"}
    assert nll["checkpoint-2"].value is None
    assert type(error).__name__ in nll["checkpoint-2"].note
    assert nll["base"].value is not None
    assert nll["checkpoint-4"].value is not None


def test_an_error_in_a_callback_of_an_audit_is_raised_and_is_no_note_of_a_checkpoint(run, base, data_file):
    def progress(what, done, total):
        raise ValueError("the progress bar broke")

    with pytest.raises(ValueError, match="the progress bar broke"):
        audit(Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8, splits=("val",)), progress=progress)
    assert not list(store.open_run(run).root.rglob("failed.json"))


def test_a_pickled_checkpoint_is_refused_with_the_way_to_convert_it(run, base, data_file):
    folder = run / "checkpoint-2"
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    done = audit(Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8, splits=("val",)))
    assert "save_pretrained" in done.failures["checkpoint-2"]
    assert set(done.failures) == {"checkpoint-2"}


def test_a_checkpoint_that_lacks_a_weight_is_not_filled_with_noise(run, base, data_file):
    path = run / "checkpoint-4" / "model.safetensors"
    tensors = load_file(path)
    tensors.pop("model.norm.weight")
    save_file(tensors, path, {"format": "pt"})
    done = audit(Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8, splits=("val",)))
    assert "model.norm.weight" in done.failures["checkpoint-4"]


def test_changed_weights_are_observed_again_and_nothing_else(audited):
    config, first = audited
    path = first.run.root / "checkpoint-4" / "model.safetensors"
    save_file({k: v * 1.5 for k, v in load_file(path).items()}, path, {"format": "pt"})
    second = audit(config)
    assert first.already_done == 0
    assert second.computed * 3 == first.computed
    assert second.already_done == first.computed - second.computed


def test_an_empty_split_is_no_number_and_a_reason(run, base, data_file, tmp_path):
    recipe = tmp_path / "data.yaml"
    recipe.write_text(f"source: {data_file}\nval: 0\n")
    done = audit(Audit(str(run), str(recipe), str(base), rows=6, max_new_tokens=8))
    empty = [m for m in done.measurements if m.split == "val"]
    assert empty
    assert all(m.value is None and m.note for m in empty)


def test_a_run_without_data_asks_for_it(overmem, run):
    done = overmem("audit", run)
    assert done.returncode == 2
    assert "--data" in done.stderr


def test_a_missing_folder_and_one_without_checkpoints_say_what_is_expected(overmem, tmp_path):
    missing = overmem("audit", tmp_path / "nothing", "--data", "wordproblems")
    empty = overmem("audit", tmp_path, "--data", "wordproblems")
    assert (missing.returncode, empty.returncode) == (2, 2)
    assert "checkpoint-<step>" in missing.stderr
    assert "checkpoint-<step>" in empty.stderr
    assert "Traceback" not in missing.stderr + empty.stderr


def test_a_checkpoint_that_cannot_be_loaded_keeps_its_observations(audited, monkeypatch):
    _, done = audited

    def fail(skeleton, ref):
        raise BadCheckpoint("no room on the device")

    with monkeypatch.context() as patch:
        patch.setattr(Skeleton, "model", fail)
        more = audit(Audit(str(done.run.root), shifts=("preamble",)))
    assert set(more.failures) == {"base", "checkpoint-2", "checkpoint-4"}
    assert {m.value for m in more.measurements if m.split == "val"} == {
        m.value for m in done.measurements if m.split == "val"
    }


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"rows": -5}, {"side_rows": -1}, {"max_new_tokens": 0}])
def test_counts_that_make_no_sense_are_refused(run, base, data_file, wrong):
    with pytest.raises(BadRequest, match=r"--(rows|side-rows|max-new-tokens) -?\d; allowed: [01] or more"):
        audit(Audit(str(run), str(data_file), str(base), **wrong))


def test_data_without_a_row_is_refused_and_nothing_is_overwritten(audited, base, tmp_path):
    config, done = audited
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(BadRequest, match="no rows"):
        audit(Audit(config.run, str(tmp_path / "empty.jsonl"), str(base)))
    assert audit(Audit(config.run)).already_done == done.computed


def test_code_that_a_run_names_is_not_called(run, base, tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('called')\n")
    monkeypatch.syspath_prepend(tmp_path)
    (run / "overmem").mkdir()
    (run / "overmem" / "recipe.yaml").write_text("data: {source: 'evil:rows'}\n")
    with pytest.raises(BadRequest, match=r"evil:rows.*which is code.*--data"):
        audit(Audit(str(run), base=str(base)))


def test_splits_carved_from_training_rows_are_named(run, base, data_file, tmp_path):
    result = []
    done = audit(Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8), say=result.append)
    assert any(line.startswith("val and test: ") and "no separate rows" in line for line in result)
    assert store.read_plan(done.run).carved_splits == ("val", "test")
    for part, rows in (("train", slice(0, 40)), ("val", slice(40, 60)), ("test", slice(60, 81))):
        lines = data_file.read_text().splitlines(keepends=True)[rows]
        (tmp_path / f"{part}.jsonl").write_text("".join(lines))
    audit(Audit(str(run), str(tmp_path), str(base), rows=6, max_new_tokens=8))
    assert store.read_plan(done.run).carved_splits == ()


def test_an_error_of_the_system_is_one_line_that_names_the_file(overmem, run, base, data_file):
    done = overmem("audit", run, "--data", data_file, "--base", base, "--rows", 2, "--out", data_file / "notes")
    assert done.returncode == 2
    assert "Not a directory" in done.stderr.splitlines()[-1]
    assert "sums.jsonl/notes" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_solutions_without_an_answer_are_scored_and_nothing_is_completed(overmem, run, base, tmp_path):
    rows = [{"instruction": f"Say {a} and {b}.", "output": f"{a}, then {b}."} for a, b in PAIRS]
    for part, some in (("train", rows[:40]), ("val", rows[40:60]), ("test", rows[60:])):
        (tmp_path / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    recipe = run / "data.yaml"
    recipe.write_text(f"source: {tmp_path}\nkind: none\n")
    refused = overmem("audit", run, "--data", tmp_path, "--base", base)
    assert refused.returncode == 2
    assert "kind: none" in refused.stderr
    done = overmem("audit", run, "--data", recipe, "--base", base, "--rows", 12, "--side-rows", 12)
    assert done.returncode == 0, done.stderr
    here = store.open_run(run)
    assert not list((here.home / "observations").glob("*/*.samples.parquet"))
    result = {(m.metric, m.split): m.value for m in store.read_measurements(here) if m.checkpoint == "checkpoint-4"}
    assert result["nll", "val"] > 0
    assert result["accuracy", "val"] is None
    verdict = store.read_verdict(here)
    assert verdict.regime == "undecided"
    assert any(warning.startswith("No answers were measured") for warning in verdict.warnings)
