"""The files of a checkpoint's folder: configuration, weights in safetensors, and what tells two of them apart."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from overmem.errors import BadCheckpoint

PICKLED = ("pytorch_model*.bin", "adapter_model.bin", "*.pt", "*.pth", "*.ckpt")
_EMBEDDING = re.compile(
    r"(?:embed_tokens|wte|embed_in|word_embeddings|lm_head|embed_out)(?:\.modules_to_save)?\.weight$"
)
"""The matrices with one row per token, by their usual names."""
_INCIDENTAL = {
    "_name_or_path", "transformers_version", "use_cache", "dtype", "torch_dtype",
    "base_model_name_or_path", "revision", "inference_mode", "peft_version", "auto_mapping",
}  # fmt: skip
"""Keys of a configuration that change nothing in what the model computes."""


def json_object(path: Path) -> dict[str, Any]:
    """A JSON object; ValueError where it is none."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no JSON object")
    return found


def shape_of(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """A configuration without what is incidental; empty where there is none, or none that can be read."""
    try:
        config = json_object(folder / name)
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in config.items() if k not in _INCIDENTAL}


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, in order.

    Raises:
        BadCheckpoint: none there; where there are only pickles, the message says how to convert them.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        pickles = sorted(p.name for pattern in PICKLED for p in folder.glob(pattern))
        if any(not name.startswith(("optimizer", "scheduler", "rng_state", "scaler")) for name in pickles):
            raise BadCheckpoint(
                f"{folder} holds pickled weights only ({', '.join(pickles)}), which overmem never loads because a "
                "pickle runs code; convert them where you trust the file: AutoModelForCausalLM.from_pretrained(folder)"
                ".save_pretrained(folder, safe_serialization=True)"
            )
        raise BadCheckpoint(f"{folder} holds no weights: model.safetensors or adapter_model.safetensors is expected")
    return files


def names_in(files: list[Path]) -> set[str]:
    """The names of the tensors in weight files."""
    found: set[str] = set()
    for file in files:
        with safe_open(file, framework="pt") as stream:
            found |= set(stream.keys())
    return found


def stored_vocabulary(path: str) -> int:
    """Rows of the embedding or output matrix that a checkpoint's weight files hold; 0 where they hold none."""
    rows = 0
    for file in sorted(Path(path).glob("*.safetensors")) if Path(path).is_dir() else ():
        try:
            with safe_open(file, framework="pt") as stream:
                for name in stream.keys():  # noqa: SIM118
                    if _EMBEDDING.search(name):
                        rows = max(rows, int(stream.get_slice(name).get_shape()[0]))
        except (SafetensorError, OSError):
            continue  # reported when the checkpoint is loaded
    return rows


def fingerprint(path: str, base: str | None = None) -> str:
    """A hash that changes with what a checkpoint computes.

    Of its configuration, and of names, sizes, headers and 64 evenly spaced blocks of every weight file: training moves
    every block, so a sample of them tells two checkpoints apart without reading gigabytes. Of an adapter also the
    fingerprint of its base. A hub id that is not a folder is its own fingerprint.

    Args:
        path: folder or hub id.
        base: folder or hub id of the model that an adapter changes; None where it is not known.

    Raises:
        BadCheckpoint: no weights there, or pickled ones only.
    """
    folder = Path(path)
    if not folder.is_dir():
        return f"hub:{path}"
    digest = hashlib.sha256()
    for name in ("config.json", "adapter_config.json"):
        digest.update(json.dumps(shape_of(folder, name), sort_keys=True).encode())
    if base is not None and (folder / "adapter_config.json").is_file():
        digest.update(fingerprint(base).encode())
    for file in weight_files(folder):
        size = file.stat().st_size
        digest.update(f"{file.name}:{size}".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(1 << 16))
            for block in range(64):
                stream.seek(size * block // 64)
                digest.update(stream.read(4096))
    return digest.hexdigest()[:16]
