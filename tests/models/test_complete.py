"""A checkpoint that is still being written does not count as complete."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from overmem.models.complete import is_complete, stamp_of, state_of


@pytest.fixture
def folder(tmp_path):
    """A checkpoint as transformers writes it."""
    (tmp_path / "config.json").write_text("{}")
    save_file({"weight": np.ones((4, 4), dtype=np.float32)}, tmp_path / "model.safetensors")
    (tmp_path / "trainer_state.json").write_text(json.dumps({"global_step": 5, "max_steps": 10}))
    return tmp_path


def test_a_checkpoint_with_a_trainer_state_is_complete_at_once(folder):
    assert is_complete(folder, None)
    assert state_of(folder) == (5, 10)


def test_a_checkpoint_with_truncated_weights_is_not_complete(folder):
    path = folder / "model.safetensors"
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert not is_complete(folder, stamp_of(folder)), length
    path.write_bytes(content)
    assert is_complete(folder, None)


def test_without_a_trainer_state_it_is_complete_once_nothing_changes(folder):
    text = (folder / "trainer_state.json").read_text()
    (folder / "trainer_state.json").write_text(text[:-3])
    assert not is_complete(folder, None)
    (folder / "trainer_state.json").unlink()
    assert not is_complete(folder, None)
    before = stamp_of(folder)
    assert is_complete(folder, before)
    (folder / "tokenizer.json").write_text("{}")
    assert not is_complete(folder, before)


def test_a_checkpoint_without_a_shard_of_its_index_is_not_complete(folder):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    assert not is_complete(folder, None)
    save_file({"b": np.ones(2, dtype=np.float32)}, folder / "model-00002-of-00002.safetensors")
    assert is_complete(folder, None)


def test_a_folder_that_is_being_deleted_is_not_complete(folder, tmp_path):
    (folder / "config.json").unlink()
    assert not is_complete(folder, None)
    assert stamp_of(tmp_path / "gone") == ()
    assert not is_complete(tmp_path / "gone", None)
