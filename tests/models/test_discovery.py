"""Checkpoints with any usual name, in time order; messages for weights in other formats."""

import json

import pytest
import torch
from safetensors.torch import save_file

from overmem.errors import BadCheckpoint, BadRequest
from overmem.models.discovery import CheckpointRef, describe_order, find_checkpoints
from overmem.models.files import stored_vocabulary, weight_files
from overmem.models.loading import Skeleton
from overmem.records import Checkpoint


def write_model(folder, value, *, step=None, rows=5):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    save_file({"model.embed_tokens.weight": torch.full((rows, 2), float(value))}, folder / "model.safetensors")
    if step is not None:
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": []}))


def names_and_steps(root):
    return [(ref.checkpoint.name, ref.checkpoint.step) for ref in find_checkpoints(root)]


@pytest.mark.parametrize("pattern", ["step_{}", "step-{}", "global_step_{}", "iter_{:07d}", "checkpoint_{}", "ckpt-{}"])
def test_checkpoints_are_ordered_by_the_number_in_their_name(tmp_path, pattern):
    for step in (1000, 200):
        write_model(tmp_path / pattern.format(step), step)
    assert names_and_steps(tmp_path) == [(pattern.format(200), 200), (pattern.format(1000), 1000)]
    assert "steps are read from the names" in describe_order(find_checkpoints(tmp_path))


def test_epochs_that_count_from_0_do_not_take_the_step_of_the_base(tmp_path):
    for epoch in range(3):
        write_model(tmp_path / f"epoch_{epoch}", epoch)
    assert names_and_steps(tmp_path) == [("epoch_0", 1), ("epoch_1", 2), ("epoch_2", 3)]


def test_the_step_in_the_trainer_state_takes_precedence_over_the_name(tmp_path):
    write_model(tmp_path / "epoch_1", 1, step=50)
    write_model(tmp_path / "epoch_2", 2, step=100)
    assert names_and_steps(tmp_path) == [("epoch_1", 50), ("epoch_2", 100)]
    assert describe_order(find_checkpoints(tmp_path)) == ""


def test_a_final_model_in_the_folder_itself_is_a_checkpoint_unless_it_is_a_copy(tmp_path):
    write_model(tmp_path / "checkpoint-10", 1)
    write_model(tmp_path, 1)
    assert names_and_steps(tmp_path) == [("checkpoint-10", 10)]
    write_model(tmp_path, 2, step=14)
    assert names_and_steps(tmp_path) == [("checkpoint-10", 10), ("final", 14)]


def test_the_best_checkpoint_is_listed_unless_it_is_a_copy(tmp_path):
    write_model(tmp_path / "checkpoint-10", 1)
    write_model(tmp_path / "checkpoint-best", 1)
    assert names_and_steps(tmp_path) == [("checkpoint-10", 10)]
    write_model(tmp_path / "checkpoint-best", 3, step=7)
    assert ("checkpoint-best", 7) in names_and_steps(tmp_path)


def test_other_folders_are_not_checkpoints_and_nested_runs_are_named(tmp_path):
    (tmp_path / "logs_epoch_3").mkdir()
    (tmp_path / "v0-20250101" / "checkpoint-5").mkdir(parents=True)
    with pytest.raises(BadRequest, match=r"there are some in .*v0-20250101: name that folder instead"):
        find_checkpoints(tmp_path)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("pytorch_model_fsdp_0/__0_0.distcp", "accelerate merge-weights"),
        ("global_step10/mp_rank_00_model_states.pt", "zero_to_fp32.py"),
        ("model-q4.gguf", "gguf_file='model-q4.gguf'"),
        ("adapter_model.bin", "safetensors.torch.save_file"),
        ("pytorch_model.bin", r"only \(pytorch_model.bin\), .*from_pretrained\(folder\).save_pretrained"),
        ("pytorch_model-00001-of-00002.bin", r"from_pretrained\(folder\).save_pretrained"),
        (
            "pytorch_model_fsdp.bin",
            r"only \(pytorch_model_fsdp.bin\), .*torch.load\('pytorch_model_fsdp.bin', weights_only",
        ),
        ("consolidated.00.pth", r"only \(consolidated.00.pth\), .*weights_only"),
    ],
)
def test_other_formats_are_refused_with_the_command_that_converts_them(tmp_path, file, message):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    with pytest.raises(BadCheckpoint, match=message) as error:
        weight_files(tmp_path)
    assert "\n" not in str(error.value)


def test_the_vocabulary_is_that_of_the_stored_embeddings(tmp_path):
    write_model(tmp_path, 1, rows=7)
    assert stored_vocabulary(str(tmp_path)) == 7
    assert stored_vocabulary("org/name") == 0


def test_any_error_of_a_library_becomes_a_bad_checkpoint(tmp_path, monkeypatch):
    write_model(tmp_path / "checkpoint-1", 1)

    def broken(*arguments, **options):
        raise AttributeError("no such attribute")

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", broken)
    ref = CheckpointRef(Checkpoint("checkpoint-1", 1), str(tmp_path / "checkpoint-1"))
    with pytest.raises(BadCheckpoint, match="AttributeError: no such attribute"):
        Skeleton(None).model(ref)
