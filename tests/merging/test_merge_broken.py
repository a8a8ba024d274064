"""A merge that is killed, runs out of disk space or reads broken files leaves no incomplete file under a final name."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from overmem.errors import BadCheckpoint, BadRequest, Locked
from overmem.merging.options import Merge
from overmem.merging.verb import merge
from overmem.store import locked, open_run

PAIR = ("checkpoint-10", "checkpoint-50")


def save(folder: Path, seed: int, *, layers: int = 8, width: int = 32) -> None:
    """Write a checkpoint folder of random weights, 8 KiB per layer."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    tensors = {f"model.layers.{i}.weight": torch.randn(64, width, generator=generator) for i in range(layers)}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "tokenizer.json").write_text("{}")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two checkpoints."""
    for seed, name in enumerate(PAIR):
        save(tmp_path / "run" / name, seed)
    return tmp_path / "run"


def weights(folder: Path) -> dict[str, Tensor]:
    return {name: t for file in sorted(folder.glob("*.safetensors")) for name, t in load_file(file).items()}


def merge_pair(root: Path, **options: Any) -> Path:
    return merge(Merge(str(root), **{"checkpoints": PAIR, **options}))


def test_models_with_different_tensors_are_refused_by_name(run: Path) -> None:
    save(run / "checkpoint-50", 2, layers=3)
    with pytest.raises(BadCheckpoint, match=r"checkpoint-50 lacks model.layers.3.*and 2 more, which .*checkpoint-10"):
        merge_pair(run)
    save(run / "checkpoint-50", 2, width=33)
    with pytest.raises(
        BadCheckpoint, match=r"weight is \[64, 32\] in .*checkpoint-10 and \[64, 33\] in .*checkpoint-50"
    ):
        merge_pair(run)
    assert not list(run.glob("*merged*"))


def test_a_truncated_file_is_named_in_the_error(run: Path) -> None:
    file = run / "checkpoint-50" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BadCheckpoint, match=r"checkpoint-50/model.safetensors cannot be read"):
        merge_pair(run)
    assert not list(run.glob("*merged*"))


def test_pickled_weights_are_refused_with_the_way_to_convert_them(run: Path) -> None:
    (run / "checkpoint-50" / "model.safetensors").rename(run / "checkpoint-50" / "pytorch_model.bin")
    with pytest.raises(BadCheckpoint, match=r"pickled.*pytorch_model.bin.*save_pretrained"):
        merge_pair(run)


def test_quantized_weights_are_refused(run: Path) -> None:
    path = run / "checkpoint-50" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": {"quant_method": "fp8"}}))
    with pytest.raises(BadCheckpoint, match="quantized"):
        merge_pair(run)


def test_a_locked_run_is_refused(run: Path) -> None:
    with locked(open_run(run)), pytest.raises(Locked):
        merge_pair(run)


PROGRAM = """
import os, resource, signal, sys
from overmem.merging.options import Merge
from overmem.merging.verb import merge
root, mode = sys.argv[1:]
tensors = 0
def progress(what, done, total):
    global tensors
    tensors += 1
    if mode == "killed" and tensors == 5:  # the first tensor of the third shard
        os.kill(os.getpid(), signal.SIGKILL)
if mode == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000))
try:
    merge(Merge(root, ("checkpoint-10", "checkpoint-50"), shard_bytes=20_000), progress=progress)
except Exception as error:
    print(type(error).__name__, error)
"""


def run_program(root: Path, mode: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PROGRAM, str(root), mode]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, env=env)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_killed_merge_resumes_and_ends_in_the_same_bytes(run: Path) -> None:
    assert run_program(run, "killed").returncode == -signal.SIGKILL
    partial = run / ".merged-linear-10-50.partial"
    assert not (run / "merged-linear-10-50").exists()
    kept = {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in partial.glob("model-*.safetensors")}
    assert len(kept) == 2
    path = merge_pair(run, shard_bytes=20_000)
    assert not partial.exists()
    now = {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in path.glob("model-*.safetensors")}
    assert len(now) > len(kept)
    assert {name: now[name] for name in kept} == kept
    resumed = files(path)
    shutil.rmtree(path)
    assert files(merge_pair(run, shard_bytes=20_000)) == resumed


def test_files_of_a_killed_merge_of_another_recipe_are_not_reused(run: Path) -> None:
    assert run_program(run, "killed").returncode == -signal.SIGKILL
    assert list((run / ".merged-linear-10-50.partial").glob("model-*.safetensors"))
    path = merge_pair(run, weights=(0.2, 0.8), shard_bytes=20_000)
    early, late = weights(run / PAIR[0]), weights(run / PAIR[1])
    for name, tensor in weights(path).items():
        torch.testing.assert_close(tensor, 0.2 * early[name] + 0.8 * late[name], rtol=0, atol=1e-6)


def test_a_full_disk_leaves_no_incomplete_file_under_a_final_name(run: Path) -> None:
    # With a file size limit of 15 kB, writing a shard fails as it does on a full disk.
    output = run_program(run, "full").stdout
    assert output.startswith("BadRequest ")
    assert "free some space" in output
    assert list(run.glob(".merged-linear-10-50.partial/.model-*.partial"))
    assert not (run / "merged-linear-10-50").exists()
    path = merge_pair(run, shard_bytes=20_000)
    resumed = files(path)
    shutil.rmtree(path)
    assert files(merge_pair(run, shard_bytes=20_000)) == resumed


def test_too_little_disk_space_is_reported_before_writing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(BadRequest, match="GB free"):
        merge_pair(run)
    assert not (run / "merged-linear-10-50").exists()
