"""Fine-tuning by a recipe: resumed equals uninterrupted, accumulation changes nothing, errors name the key."""

import json
import re
import shutil
import signal
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from overmem import store
from overmem.audit import Audit, audit
from overmem.errors import BadRequest
from overmem.tasks import load
from overmem.training.recipe import read_recipe, recipe_from
from overmem.training.verb import train
from tests.processes import run_python


def recipe(base, data_file, output, **more):
    return recipe_from(
        {
            "output": str(output),
            "model": str(base),
            "data": {"source": str(data_file), "train": 24, "val": 8, "test": 8},
            "learning_rate": 1e-2,
            "epochs": 2,
            "batch_size": 8,
            "trainer": {"logging_steps": 1, "use_cpu": True},
        }
        | more,
        "test",
    )


def weights(run, checkpoint):
    return load_file(run.root / checkpoint / "model.safetensors")


def largest_difference(left, right):
    assert left.keys() == right.keys()
    return max(float((left[k] - right[k]).abs().max()) for k in left)


@pytest.fixture(scope="module")
def trained(base, data_file, tmp_path_factory):
    return train(recipe(base, data_file, tmp_path_factory.mktemp("trained")))


def test_checkpoints_are_saved_by_epoch_and_dynamics_are_logged(trained):
    assert sorted(p.name for p in trained.root.glob("checkpoint-*")) == ["checkpoint-3", "checkpoint-6"]
    history = store.read_log_history(trained)
    steps = [row for row in history if "loss" in row]
    assert len(steps) == 6
    for row in steps:
        assert row["nll"] == pytest.approx(row["loss"], rel=1e-4)
        assert 0 < row["label_probability"] < 1
    assert [row["step"] for row in history if "eval_val_nll" in row] == [3, 6]


def test_accumulating_small_batches_equals_one_large_batch(trained, base, data_file, tmp_path):
    small = train(recipe(base, data_file, tmp_path, batch_size=2, accumulation=4))
    assert largest_difference(weights(trained, "checkpoint-6"), weights(small, "checkpoint-6")) < 1e-4


def test_mar_trains_other_weights_and_reports_plain_nll(trained, base, data_file, tmp_path):
    run = train(recipe(base, data_file, tmp_path, loss="mar"))
    assert largest_difference(weights(trained, "checkpoint-6"), weights(run, "checkpoint-6")) > 1e-4
    first = next(row for row in store.read_log_history(run) if "loss" in row)
    reference_row = next(row for row in store.read_log_history(trained) if "loss" in row)
    assert first["nll"] == pytest.approx(reference_row["nll"], rel=1e-4)
    assert first["loss"] < first["nll"]


def test_a_user_defined_loss_and_method_work_from_a_recipe_in_any_folder(base, data_file, tmp_path):
    """As docs/adding.md shows it: the user's own files are in the folder where the command runs."""
    guide = (Path(__file__).parents[2] / "docs" / "adding.md").read_text()
    code, keys = (re.search(rf"```{kind}\n(.+?)```", guide, re.S)[1] for kind in ("python", "yaml"))
    (tmp_path / "mypackage").mkdir()
    (tmp_path / "mypackage" / "losses.py").write_text(code)
    method = "def half(model):\n    model.lm_head.requires_grad_(False)\n    return model\n"
    (tmp_path / "mypackage" / "methods.py").write_text(method)
    content = store.to_jsonable(recipe(base, data_file, tmp_path / "run", epochs=1, method="mypackage.methods:half"))
    shown = yaml.safe_load(keys)
    assert shown["loss"].startswith("mypackage.losses:")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content | shown))
    done = run_python("-m", "overmem", "train", "recipe.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = store.open_run(tmp_path / "run")
    first = next(row for row in store.read_log_history(run) if "loss" in row)
    assert 0 < first["loss"] < 1 < first["nll"]
    before = load_file(base / "model.safetensors")
    after = weights(run, "checkpoint-3")
    assert torch.equal(before["lm_head.weight"], after["lm_head.weight"])
    assert not torch.equal(before["model.norm.weight"], after["model.norm.weight"])


@pytest.mark.parametrize("loss", ["rho", "asft"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_loss_that_needs_the_base_scores_the_rows_once_and_reads_them_on_resume(
    base, data_file, tmp_path, loss, method
):
    options = {"loss": loss, "method": method, "save": 2}
    reports = []
    uninterrupted = train(recipe(base, data_file, tmp_path / "one", **options), progress=lambda *a: reports.append(a))
    assert ("scoring with the base model", 3, 3) in reports
    written = uninterrupted.reference_path.stat().st_mtime_ns
    shutil.copytree(uninterrupted.root, tmp_path / "two")
    for step in (4, 6):
        shutil.rmtree(tmp_path / "two" / f"checkpoint-{step}")
    shutil.copystat(uninterrupted.reference_path, store.open_run(tmp_path / "two").reference_path)
    again = train(recipe(base, data_file, tmp_path / "two", **options))
    assert again.reference_path.stat().st_mtime_ns == written
    file = "model.safetensors" if method == "full" else "adapter_model.safetensors"
    expected, actual = (load_file(run.root / "checkpoint-6" / file) for run in (uninterrupted, again))
    assert largest_difference(actual, expected) < 1e-6


def test_goldfish_averages_over_the_remaining_labels_under_accumulation(base, data_file, tmp_path):
    options = {"loss": "goldfish", "loss_knobs": {"k": 2, "context": 3}}
    large = train(recipe(base, data_file, tmp_path / "one", **options))
    small = train(recipe(base, data_file, tmp_path / "small", batch_size=2, accumulation=4, **options))
    assert largest_difference(weights(large, "checkpoint-6"), weights(small, "checkpoint-6")) < 1e-4
    for row in store.read_log_history(small):
        if "loss" in row:
            assert row["loss"] == pytest.approx(row["nll"], rel=1e-4)


def test_neftune_can_be_set_through_the_trainer_key(trained, base, data_file, tmp_path):
    settings = {"logging_steps": 1, "use_cpu": True, "neftune_noise_alpha": 5.0}
    run = train(recipe(base, data_file, tmp_path, loss="mar", trainer=settings))
    first, reference_row = (next(row for row in store.read_log_history(r) if "loss" in row) for r in (run, trained))
    assert abs(first["nll"] - reference_row["nll"]) > 1e-4


def test_lora_saves_adapters_that_name_their_base(base, data_file, tmp_path):
    run = train(recipe(base, data_file, tmp_path, method="lora", method_knobs={"r": 2}))
    config = json.loads((run.root / "checkpoint-6" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base)
    assert any(
        "lora_B" in k and v.abs().max() > 0
        for k, v in load_file(run.root / "checkpoint-6" / "adapter_model.safetensors").items()
    )


KILLED_AT_STEP_4 = """
import os, signal, sys
from overmem.training.recipe import read_recipe
from overmem.training.verb import train

def progress(what, done, total):
    if done == 4:  # the step after checkpoint-3
        os.kill(os.getpid(), signal.SIGKILL)

train(read_recipe(sys.argv[1]), progress=progress)
"""
"""A training that kills itself at a fixed step, so that the test does not depend on the speed of the machine."""


def test_a_killed_training_resumes_and_ends_like_an_uninterrupted_one(trained, base, data_file, tmp_path):
    path, output = tmp_path / "recipe.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump(store.to_jsonable(recipe(base, data_file, output))))
    killed = run_python("-c", KILLED_AT_STEP_4, path)
    assert killed.returncode == -signal.SIGKILL
    assert [p.name for p in output.glob("checkpoint-*")] == ["checkpoint-3"]
    lines = []
    run = train(read_recipe(path), say=lines.append)
    assert f"resuming from {output / 'checkpoint-3'}" in lines
    assert largest_difference(weights(trained, "checkpoint-6"), weights(run, "checkpoint-6")) < 1e-6


def test_an_incomplete_checkpoint_is_removed_and_trained_again(trained, base, data_file, tmp_path):
    run = train(recipe(base, data_file, tmp_path / "run"))
    (run.root / "checkpoint-6" / "trainer_state.json").unlink()
    lines = []
    train(recipe(base, data_file, tmp_path / "run"), say=lines.append)
    assert any("is incomplete" in line for line in lines)
    assert largest_difference(weights(trained, "checkpoint-6"), weights(run, "checkpoint-6")) < 1e-6


def test_without_optimizer_state_training_starts_from_scratch_and_says_so(trained, base, data_file, tmp_path):
    recipe_options = recipe(
        base, data_file, tmp_path, trainer={"logging_steps": 1, "use_cpu": True, "save_only_model": True}
    )
    run = train(recipe_options)
    shutil.rmtree(tmp_path / "checkpoint-6")
    lines = []
    train(recipe_options, say=lines.append)
    assert any("starts from scratch" in line for line in lines)
    assert largest_difference(weights(trained, "checkpoint-6"), weights(run, "checkpoint-6")) == 0
    lines.clear()
    train(recipe_options, say=lines.append)  # the training is finished, so nothing is trained again
    assert not any("starts from scratch" in line for line in lines)


def test_another_recipe_in_the_same_folder_is_refused_and_its_keys_are_named(trained, base, data_file):
    with pytest.raises(BadRequest, match="learning_rate"):
        train(recipe(base, data_file, trained.root, learning_rate=1e-3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learnin_rate": 1}, "unknown key 'learnin_rate'.*learning_rate"),
        ({"data": {"sourse": "x"}}, "unknown key 'data.sourse'.*source"),
        ({"epochs": "many"}, "epochs.*many"),
        ({"trainer": {"leerning": 1}}, "leerning"),
        ({"loss": "mahr"}, "unknown loss 'mahr'.*mar"),
        ({"loss_knobs": {"gamma": 1}}, "gamma"),
        ({"method": "lorra"}, "unknown method 'lorra'.*pissa"),
        ({"method": "dora", "method_knobs": {"rank": 1}}, "rank.*target_modules"),
        ({"lora": {"r": 1}}, "unknown key 'lora'.*method_knobs"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(base, data_file, tmp_path, change, message):
    with pytest.raises(BadRequest, match=message):
        train(recipe(base, data_file, tmp_path, **change))


def test_a_broken_row_is_named_by_file_and_line(overmem, base, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"question": "a", "solution": "#### 1"}\n{"question": "b"}\n')
    path = tmp_path / "recipe.yaml"
    path.write_text(f"output: {tmp_path}/run\nmodel: {base}\ndata: {{source: {tmp_path}/rows.jsonl}}\n")
    done = overmem("train", path)
    assert done.returncode == 2
    assert "rows.jsonl" in done.stderr
    assert "2" in done.stderr.split("rows.jsonl")[1]
    assert "Traceback" not in done.stderr


def test_rows_longer_than_max_length_are_counted_and_reported(base, data_file, tmp_path):
    lines = []
    with pytest.raises(BadRequest, match="max_length 5"):
        train(recipe(base, data_file, tmp_path, max_length=5), say=lines.append)
    assert "train: 24 of 24 examples are longer than 5 tokens, left out" in lines


def test_an_audit_with_other_split_sizes_never_holds_out_trained_rows(base, data_file, tmp_path):
    run = train(recipe(base, data_file, tmp_path / "run"))
    trained = {e.id for e in load(recipe(base, data_file, tmp_path / "run").data).splits["train"]}
    other = tmp_path / "other.yaml"
    other.write_text(f"{{source: {data_file}, train: 4, val: 30, test: 30}}")
    lines = []
    audit(Audit(str(run.root), data=str(other), rows=30, max_new_tokens=4), say=lines.append)
    assert any("were trained on according to the run's recipe" in line for line in lines)
    for split in ("val", "test"):
        ids = {e.id for e in store.read_examples(run, split)}
        assert ids
        assert not ids & trained
    assert {e.id for e in store.read_examples(run, "train")} <= trained


def test_an_audit_with_another_out_folder_reads_the_recipe(trained, tmp_path):
    done = audit(Audit(str(trained.root), rows=4, side_rows=4, max_new_tokens=4, out=str(tmp_path / "notes")))
    assert [c.name for c in store.read_checkpoints(done.run)] == ["base", "checkpoint-3", "checkpoint-6"]
    assert (tmp_path / "notes" / "measurements.parquet").is_file()
    assert not trained.measurements_path.exists()
