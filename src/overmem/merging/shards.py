"""Weight files, written piece by piece.

Safetensors shards are streamed: the header is known before the first tensor is computed, so a shard never has to fit in
memory. A shard gets its final name only when it is complete.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from overmem.errors import BadRequest
from overmem.merging.weights import DTYPES, MODEL, Entry

Pieces = Callable[[str], Iterable[Tensor]]
"""Name -> the values of a tensor, in order, in one or more pieces; a piece is written before the next is computed."""
Progress = Callable[[str, float, float], None]
"""Called with (description, bytes done, bytes in total)."""
_AUX_SUFFIXES = (".json", ".txt", ".model", ".jinja", ".py", ".tiktoken")
"""Suffixes of the auxiliary files that are copied: configuration, tokenizer, chat template, model code."""
_TEMPLATE_FOLDER = "additional_chat_templates"
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


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
    pieces: Pieces,
    *,
    limit: int,
    name: str = MODEL,
    progress: Progress = lambda what, done, total: None,
) -> None:
    """Write every tensor into shards, and their index; complete shards that exist already are kept.

    Args:
        folder: where to write.
        entries: type and shape of every tensor.
        pieces: computes the values of a tensor from its name.
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

    def pieces_with_progress(name: str) -> Iterable[Tensor]:
        nonlocal done
        done += entries[name].size
        progress(name, float(done), float(total))
        return pieces(name)

    for shard in files:
        if not write_shard(folder, shard, pieces_with_progress):
            done += sum(entry.size for entry in shard.entries.values())
            progress(shard.file, float(done), float(total))
    if (index := index_of(files)) is not None:
        (folder / f"{name}.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def write_shard(folder: Path, shard: Shard, pieces: Pieces) -> bool:
    """Write one shard, a piece of a tensor at a time; False if the complete file exists already.

    Raises:
        ValueError: a tensor has another size or type than planned.
    """
    path = folder / shard.file
    if path.is_file() and path.stat().st_size == shard.size:
        return False
    partial = folder / f".{shard.file}.partial"
    with partial.open("wb") as stream:
        stream.write(shard.header)
        for name, entry in shard.entries.items():
            written, dtype = 0, entry.dtype
            for piece in pieces(name):
                values = piece.detach().cpu().contiguous().reshape(-1)
                written, dtype = written + values.nbytes, values.dtype
                if dtype != entry.dtype or written > entry.size:
                    break
                if values.numel():
                    stream.write(values.view(torch.uint8).numpy().data)
            if written != entry.size or dtype != entry.dtype:
                raise ValueError(f"{name} has {written} bytes of {dtype}, planned {entry.size} of {entry.dtype}")
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
    return True
