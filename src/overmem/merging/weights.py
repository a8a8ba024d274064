"""Weight files, read one tensor or a part of one at a time."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from overmem.errors import BadCheckpoint, BadRequest
from overmem.json_text import parse_json
from overmem.models.files import safetensors_header, weight_files

MODEL = "model.safetensors"
ADAPTER = "adapter_model.safetensors"
_LONGEST_READ = 2**30
"""Bytes; Linux reads at most 2 GiB at once."""
_READ_AHEAD = 2**26
"""Bytes of a file after which the system is asked to read the next ones."""
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
    _places: Mapping[str, tuple[FileIO, int]]
    """File of each tensor, and the byte where it begins."""

    def read(self, name: str) -> Tensor:
        """One tensor, as it is stored.

        Raises:
            BadCheckpoint: there is no such tensor, or it cannot be read.
        """
        if name not in self.entries:
            raise BadCheckpoint(f"{self.folder} has no tensor {name!r}")
        entry = self.entries[name]
        values = torch.empty(entry.shape, dtype=entry.dtype)
        self.read_part(name, values.reshape(-1), 0)
        return values

    def read_part(self, name: str, values: Tensor, start: int) -> None:
        """Fill `values` with consecutive elements of a tensor. They are read and not mapped, so the file is no memory.

        Args:
            name: of the tensor.
            values: flat, of the stored type.
            start: the first element.

        Raises:
            BadCheckpoint: it cannot be read.
        """
        if not values.numel():
            return
        file, first = self._places[name]
        offset, left = first + start * values.element_size(), values.view(torch.uint8).numpy().data
        _read_ahead(file, offset, offset + len(left))
        try:
            while left:
                count = os.preadv(file.fileno(), [left[:_LONGEST_READ]], offset)
                if not count:
                    raise OSError("the file ends before it")
                left, offset = left[count:], offset + count
        except OSError as error:
            raise BadCheckpoint(f"{self.folder}: tensor {name!r} cannot be read: {error}") from error


def _read_ahead(file: FileIO, start: int, end: int) -> None:
    """Let the system read on while these bytes are used: several files are then read at once."""
    if hasattr(os, "posix_fadvise") and start // _READ_AHEAD != end // _READ_AHEAD:
        os.posix_fadvise(file.fileno(), end, 2 * _READ_AHEAD, os.POSIX_FADV_WILLNEED)


@contextmanager
def open_weights(folder: Path) -> Iterator[Weights]:
    """Open the weights of a folder: the shards in its index, else the adapter's file, else model.safetensors.

    Raises:
        BadCheckpoint: there are no weights, or pickled ones only; a shard is missing, or a file is truncated.
    """
    entries: dict[str, Entry] = {}
    places: dict[str, tuple[FileIO, int]] = {}
    with ExitStack() as stack:
        for file in _files(folder):
            try:
                stream = stack.enter_context(file.open("rb", buffering=0))
                with safe_open(file, framework="pt") as handle:
                    stored, start = safetensors_header(stream)
                    for name in handle.keys():  # noqa: SIM118
                        part = handle.get_slice(name)
                        if name in entries:
                            raise BadCheckpoint(f"{folder} holds tensor {name!r} twice")
                        entries[name] = Entry(_dtype(part.get_dtype(), file), tuple(part.get_shape()))
                        places[name] = stream, start + stored[name]["data_offsets"][0]
            except (SafetensorError, OSError) as error:
                raise BadCheckpoint(f"{file} cannot be read (truncated or damaged): {error}") from error
        yield Weights(folder, entries, places)


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
