"""Weight files, read and written one tensor at a time.

Safetensors shards are streamed: the header is known before the first tensor is computed, so a shard never has to fit in
memory. A shard gets its final name only when it is complete.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from overmem.errors import BadCheckpoint, BadRequest
from overmem.json_text import parse_json
from overmem.models.files import weight_files

Progress = Callable[[str, float, float], None]
"""Called with (description, bytes done, bytes in total)."""
MODEL = "model.safetensors"
ADAPTER = "adapter_model.safetensors"
_AUX_SUFFIXES = (".json", ".txt", ".model", ".jinja", ".py", ".tiktoken")
"""Suffixes of the auxiliary files that are copied: configuration, tokenizer, chat template, model code."""
_TEMPLATE_FOLDER = "additional_chat_templates"
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Element types as safetensors names them."""
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Entry:
    """Type and shape of a tensor in a file, without its values."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        count = 1
        for length in self.shape:
            count *= length
        return count * self.dtype.itemsize


@dataclass(frozen=True)
class Weights:
    """The tensors of one folder, by name, in the order of its files."""

    folder: Path
    entries: Mapping[str, Entry]
    _handles: Mapping[str, Any]

    def read(self, name: str) -> Tensor:
        """One tensor, as it is stored.

        Raises:
            BadCheckpoint: there is no such tensor, or it cannot be read.
        """
        if name not in self.entries:
            raise BadCheckpoint(f"{self.folder} has no tensor {name!r}")
        try:
            tensor: Tensor = self._handles[name].get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise BadCheckpoint(f"{self.folder}: tensor {name!r} cannot be read: {error}") from error
        return tensor


@contextmanager
def open_weights(folder: Path) -> Iterator[Weights]:
    """Open the weights of a folder: the shards in its index, else the adapter's file, else model.safetensors.

    Raises:
        BadCheckpoint: there are no weights, or pickled ones only; a shard is missing, or a file is truncated.
    """
    entries: dict[str, Entry] = {}
    handles: dict[str, Any] = {}
    with ExitStack() as stack:
        for file in _files(folder):
            try:
                handle = stack.enter_context(safe_open(file, framework="pt"))
                for name in handle.keys():  # noqa: SIM118
                    part = handle.get_slice(name)
                    if name in entries:
                        raise BadCheckpoint(f"{folder} holds tensor {name!r} twice")
                    entries[name] = Entry(_dtype(part.get_dtype(), file), tuple(part.get_shape()))
                    handles[name] = handle
            except (SafetensorError, OSError) as error:
                raise BadCheckpoint(f"{file} cannot be read (truncated or damaged): {error}") from error
        yield Weights(folder, entries, handles)


def model_folder(path: str) -> Path:
    """A model's folder; a model of the hub is downloaded, or taken from the local cache.

    Raises:
        BadRequest: there is no such model.
    """
    if Path(path).is_dir():
        return Path(path)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(path, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise BadRequest(f"the base model {path!r} is neither a folder nor available on the hub: {error}") from error


def _dtype(name: str, file: Path) -> torch.dtype:
    if name not in DTYPES:
        raise BadCheckpoint(f"{file} holds tensors of type {name}; allowed: {', '.join(DTYPES)}")
    return DTYPES[name]


def _files(folder: Path) -> list[Path]:
    index = folder / f"{MODEL}.index.json"
    if index.is_file():
        try:
            named = sorted(set(parse_json(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as error:
            raise BadCheckpoint(f"{index} is not an index of shards: {error}") from error
        for name in named:
            if not (folder / name).is_file():
                raise BadCheckpoint(f"{folder} lacks the shard {name} that its {index.name} names")
        return [folder / name for name in named]
    for name in (ADAPTER, MODEL):
        if (folder / name).is_file():
            return [folder / name]
    return weight_files(folder)


def copy_aux_files(source: Path, target: Path, *, exclude: Sequence[str] = ()) -> None:
    """Copy configuration, tokenizer and templates, but no weights, no trainer state, and nothing in `exclude`."""
    for file in sorted(source.iterdir()):
        is_aux = file.suffix in _AUX_SUFFIXES and not file.name.endswith((".index.json", "trainer_state.json"))
        if file.is_file() and is_aux and file.name not in exclude:
            shutil.copyfile(file, target / file.name)
    if (source / _TEMPLATE_FOLDER).is_dir():
        shutil.copytree(source / _TEMPLATE_FOLDER, target / _TEMPLATE_FOLDER, dirs_exist_ok=True)


@dataclass(frozen=True)
class Shard:
    """A file to write: its name and its tensors, in order."""

    file: str
    entries: Mapping[str, Entry]

    @property
    def header(self) -> bytes:
        """The safetensors header: its length in 8 bytes, then its JSON, padded to a multiple of 8."""
        start, header = 0, dict[str, Any](__metadata__={"format": "pt"})
        for name, entry in self.entries.items():
            offsets = [start, start + entry.size]
            header[name] = {"dtype": _NAMES[entry.dtype], "shape": list(entry.shape), "data_offsets": offsets}
            start += entry.size
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text

    @property
    def size(self) -> int:
        """Bytes of the file, header included."""
        return len(self.header) + sum(entry.size for entry in self.entries.values())


def shards(entries: Mapping[str, Entry], limit: int, name: str = MODEL) -> list[Shard]:
    """The files that hold `entries`, none with more than `limit` bytes of tensors, unless a single tensor is larger.

    One file is `name`; several are numbered as transformers numbers them.
    """
    groups: list[dict[str, Entry]] = [{}]
    group_bytes = 0
    # Larger element types first: every tensor then starts at a multiple of its element size, as readers expect.
    for tensor, entry in sorted(entries.items(), key=lambda item: -item[1].dtype.itemsize):
        if groups[-1] and group_bytes + entry.size > limit:
            groups.append({})
            group_bytes = 0
        groups[-1][tensor] = entry
        group_bytes += entry.size
    if len(groups) == 1:
        return [Shard(name, groups[0])]
    stem = name.removesuffix(".safetensors")
    return [Shard(f"{stem}-{i:05d}-of-{len(groups):05d}.safetensors", g) for i, g in enumerate(groups, start=1)]


def index_of(files: Sequence[Shard]) -> dict[str, Any] | None:
    """The content of model.safetensors.index.json for several shards; None for a single file."""
    if len(files) == 1:
        return None
    total = sum(entry.size for shard in files for entry in shard.entries.values())
    where = {name: shard.file for shard in files for name in shard.entries}
    return {"metadata": {"total_size": total}, "weight_map": where}


def write_weights(
    folder: Path,
    entries: Mapping[str, Entry],
    tensor: Callable[[str], Tensor],
    *,
    limit: int,
    name: str = MODEL,
    progress: Progress = lambda what, done, total: None,
) -> None:
    """Write every tensor into shards, and their index; complete shards that exist already are kept.

    Args:
        folder: where to write.
        entries: type and shape of every tensor.
        tensor: computes a tensor from its name.
        limit: maximum bytes of tensors in a shard.
        name: file name; several shards are numbered after it.
        progress: called with (description, bytes done, bytes in total).

    Raises:
        BadRequest: not enough free disk space.
    """
    files = shards(entries, limit, name)
    required = sum(shard.size for shard in files if not (folder / shard.file).is_file())
    free = shutil.disk_usage(folder).free
    if required > free:
        raise BadRequest(f"the weights take {required / 1e9:.2f} GB and {folder.parent} has {free / 1e9:.2f} GB free")
    total, done = sum(entry.size for entry in entries.values()), 0

    def tensor_with_progress(name: str) -> Tensor:
        nonlocal done
        done += entries[name].size
        progress(name, float(done), float(total))
        return tensor(name)

    for shard in files:
        if not write_shard(folder, shard, tensor_with_progress):
            done += sum(entry.size for entry in shard.entries.values())
            progress(shard.file, float(done), float(total))
    if (index := index_of(files)) is not None:
        (folder / f"{name}.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def write_shard(folder: Path, shard: Shard, tensor: Callable[[str], Tensor]) -> bool:
    """Write one shard, computing one tensor at a time; False if the complete file exists already.

    Raises:
        ValueError: a tensor has another shape or type than planned.
    """
    path = folder / shard.file
    if path.is_file() and path.stat().st_size == shard.size:
        return False
    partial = folder / f".{shard.file}.partial"
    with partial.open("wb") as stream:
        stream.write(shard.header)
        for name, entry in shard.entries.items():
            value = tensor(name).detach().cpu().contiguous()
            if tuple(value.shape) != entry.shape or value.dtype != entry.dtype:
                raise ValueError(f"{name} is {tuple(value.shape)} {value.dtype}, planned {entry.shape} {entry.dtype}")
            if value.numel():
                stream.write(value.reshape(-1).view(torch.uint8).numpy().data)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
    return True
