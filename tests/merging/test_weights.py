"""Weight files: streamed shards are read back by safetensors, and errors name the broken file."""

import json
import weakref
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from overmem.errors import BadCheckpoint, BadRequest
from overmem.merging.shards import index_of, shards, write_shard, write_weights
from overmem.merging.weights import DTYPES, Entry, model_folder, open_weights


def entries_of(tensors: dict[str, Tensor]) -> dict[str, Entry]:
    return {name: Entry(tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}


def every_type() -> dict[str, Tensor]:
    tensors_by_type = {kind: torch.arange(7).reshape(7, 1).to(dtype) for kind, dtype in DTYPES.items()}
    strided = torch.arange(12.0).reshape(3, 4).t()
    return {
        **tensors_by_type,
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "strided": strided,
        "näme": torch.ones(1),
    }


def test_every_type_and_shape_is_read_back_by_safetensors(tmp_path: Path) -> None:
    tensors = every_type()
    write_weights(tmp_path, entries_of(tensors), lambda name: [tensors[name]], limit=10**6)
    read = load_file(tmp_path / "model.safetensors")
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name].float(), tensor.float())


def test_every_tensor_starts_at_a_multiple_of_its_element_size(tmp_path: Path) -> None:
    (shard,) = shards(entries_of(every_type()), 10**6)
    described = json.loads(shard.header[8:])
    assert len(shard.header) % 8 == 0
    for name, entry in shard.entries.items():
        assert described[name]["data_offsets"][0] % entry.dtype.itemsize == 0


def test_shards_are_numbered_and_indexed_and_none_exceeds_the_limit(tmp_path: Path) -> None:
    tensors = {f"t{i}": torch.full((10,), float(i)) for i in range(7)}
    write_weights(tmp_path, entries_of(tensors), lambda name: [tensors[name]], limit=100)
    names = [f"model-0000{i}-of-00004.safetensors" for i in range(1, 5)]
    assert sorted(p.name for p in tmp_path.glob("*.safetensors")) == names
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 280
    assert all(torch.equal(load_file(tmp_path / index["weight_map"][n])[n], t) for n, t in tensors.items())
    with open_weights(tmp_path) as weights:
        assert all(torch.equal(weights.read(n), t) for n, t in tensors.items())


def test_a_tensor_above_the_limit_has_a_shard_of_its_own() -> None:
    entries = {name: Entry(torch.float32, (count,)) for name, count in (("a", 1), ("b", 100), ("c", 1))}
    assert [list(shard.entries) for shard in shards(entries, 40)] == [["a"], ["b"], ["c"]]
    assert index_of(shards(entries, 10**6)) is None


def test_only_one_tensor_at_a_time_is_in_memory(tmp_path: Path) -> None:
    entries = {f"t{i}": Entry(torch.float32, (64,)) for i in range(20)}
    alive: list[weakref.ref[Tensor]] = []
    max_alive = 0

    def pieces(name: str) -> list[Tensor]:
        nonlocal max_alive
        zeros = torch.zeros(64)
        max_alive = max(max_alive, sum(ref() is not None for ref in alive))
        alive.append(weakref.ref(zeros))
        return [zeros]

    write_weights(tmp_path, entries, pieces, limit=10**6)
    assert max_alive <= 1


def test_parts_of_a_tensor_are_its_elements(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(1000.0).reshape(10, 100).bfloat16(), "b": torch.arange(7), "c": torch.zeros(0, 3)}
    save_file(tensors, tmp_path / "model.safetensors")
    with open_weights(tmp_path) as weights:
        for name, tensor in tensors.items():
            assert torch.equal(weights.read(name), tensor)
        part = torch.empty(60, dtype=torch.bfloat16)
        weights.read_part("a", part, 950 - 10)
        assert torch.equal(part, tensors["a"].reshape(-1)[940:])
        with pytest.raises(BadCheckpoint, match="cannot be read: the file ends"):
            weights.read_part("b", torch.empty(10_000, dtype=torch.int64), 0)


def test_complete_shards_are_kept_and_truncated_ones_written_again(tmp_path: Path) -> None:
    tensors = {f"t{i}": torch.full((10,), float(i)) for i in range(6)}
    write_weights(tmp_path, entries_of(tensors), lambda name: [tensors[name]], limit=80)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    truncated = tmp_path / "model-00002-of-00003.safetensors"
    truncated.write_bytes(truncated.read_bytes()[:-4])
    names, fractions = [], []

    def pieces(name: str) -> list[Tensor]:
        names.append(name)
        return [tensors[name]]

    def progress(what: str, done: float, total: float) -> None:
        fractions.append(done / total)

    write_weights(tmp_path, entries_of(tensors), pieces, limit=80, progress=progress)
    assert names == ["t2", "t3"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_shard_that_fails_half_way_does_not_get_its_final_name(tmp_path: Path) -> None:
    (shard,) = shards({"a": Entry(torch.float32, (2,)), "b": Entry(torch.float32, (2,))}, 10**6)

    def pieces(name: str) -> list[Tensor]:
        if name == "b":
            raise OSError(28, "No space left on device")
        return [torch.zeros(2)]

    with pytest.raises(OSError, match="No space"):
        write_shard(tmp_path, shard, pieces)
    assert not (tmp_path / shard.file).exists()
    for wrong, told in (
        ([torch.zeros(3)], "a has 12 bytes of torch.float32, planned 8"),
        ([torch.zeros(1)], "a has 4 bytes"),
        ([torch.zeros(1), torch.zeros(1), torch.zeros(1)], "a has 12 bytes"),
        ([torch.zeros(1), torch.zeros(2, dtype=torch.bfloat16)], "of torch.bfloat16, planned 8 of torch.float32"),
        ([], "a has 0 bytes"),
    ):
        with pytest.raises(ValueError, match=told):
            write_shard(tmp_path, shard, {"a": wrong, "b": []}.__getitem__)
    assert not (tmp_path / shard.file).exists()


def test_a_truncated_file_is_named_in_the_error(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(100)}, file)
    whole = file.read_bytes()
    for truncated in (whole[:-1], whole[:20], whole[:4], b""):
        file.write_bytes(truncated)
        with pytest.raises(BadCheckpoint, match=r"model\.safetensors cannot be read"), open_weights(tmp_path):
            pass


def test_a_missing_shard_is_named_in_the_error(tmp_path: Path) -> None:
    tensors = {f"t{i}": torch.full((10,), float(i)) for i in range(4)}
    write_weights(tmp_path, entries_of(tensors), lambda name: [tensors[name]], limit=80)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(BadCheckpoint, match="lacks the shard model-00002-of-00002"), open_weights(tmp_path):
        pass
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(BadCheckpoint, match="not an index of shards"), open_weights(tmp_path):
        pass


def test_a_folder_of_pickles_is_refused_and_an_empty_one_too(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="no weights"), open_weights(tmp_path):
        pass
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(BadCheckpoint, match=r"pickled.*pytorch_model\.bin"), open_weights(tmp_path):
        pass


def test_a_missing_tensor_is_named_in_the_error(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with open_weights(tmp_path) as weights, pytest.raises(BadCheckpoint, match="no tensor 'b'"):
        weights.read("b")


def test_a_model_that_is_neither_a_folder_nor_on_the_hub_is_a_bad_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in ("no-such-owner/no-such-model", "not a name!"):
        with pytest.raises(BadRequest, match="neither a folder nor"):
            model_folder(name)
