"""The files of a checkpoint: configuration, weights in safetensors, and a fingerprint of both."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import IO, Any

from safetensors import SafetensorError, safe_open

from overmem.errors import BadCheckpoint
from overmem.json_text import parse_json

TRAINING_STATE = ("optimizer", "scheduler", "rng_state", "scaler")
"""How the files of a checkpoint begin that only its trainer needs."""
PICKLED = ("pytorch_model*.bin", "adapter_model.bin", "*.pt", "*.pth", "*.ckpt")
KEEPS_BASE = (True, False, None, "gaussian", "eva", "orthogonal")
"""LoRA initialisations that do not change the base weights (pissa, olora, corda and loftq do)."""
_EMBEDDING = re.compile(
    r"(?:embed_tokens|wte|embed_in|word_embeddings|lm_head|embed_out)(?:\.modules_to_save)?\.weight$"
)
"""Usual names of the matrices that have one row per token."""
_INCIDENTAL = {
    "_name_or_path", "transformers_version", "use_cache", "dtype", "torch_dtype",
    "base_model_name_or_path", "revision", "inference_mode", "peft_version", "auto_mapping",
}  # fmt: skip
"""Keys of a configuration that do not change what the model computes."""


def json_object(path: Path) -> dict[str, Any]:
    """Read the JSON object in a file.

    Raises:
        ValueError: the file does not hold a JSON object.
    """
    content = parse_json(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path} does not hold a JSON object")
    return content


def relevant_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """The keys of a configuration that determine what the model computes; empty if it is missing or unreadable."""
    try:
        config = json_object(folder / name)
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in config.items() if k not in _INCIDENTAL}


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, in order.

    Raises:
        BadCheckpoint: there are none. If there are weights of another format, the message says how to convert them.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        if reason := _other_format(folder):
            raise BadCheckpoint(reason)
        pickles = sorted(p.name for pattern in PICKLED for p in folder.glob(pattern))
        pickles = [name for name in pickles if not name.startswith(TRAINING_STATE)]
        if pickles:
            raise BadCheckpoint(
                f"{folder} holds pickled weights only ({', '.join(pickles)}), which overmem never loads because a "
                f"pickle runs code; if you trust the file, convert it: {_conversion(pickles[0])}"
            )
        raise BadCheckpoint(f"{folder} holds no weights: model.safetensors or adapter_model.safetensors is expected")
    return files


def _conversion(pickle: str) -> str:
    """Python that converts a pickle with full weights: a name that transformers looks for, or any other."""
    if re.fullmatch(r"pytorch_model(-\d+-of-\d+)?\.bin", pickle):
        return "AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder)"
    return (
        "AutoModelForCausalLM.from_pretrained(None, config=AutoConfig.from_pretrained(folder), "
        f"state_dict=torch.load('{pickle}', weights_only=True)).save_pretrained(folder)"
    )


def _other_format(folder: Path) -> str:
    """For a folder in another format: what it holds and how to convert it. Empty for pickles or no weights."""
    if next(folder.glob("pytorch_model_fsdp_*"), None) or next(folder.glob("**/__*_*.distcp"), None):
        return (
            f"{folder} holds FSDP shards only; merge them: accelerate merge-weights "
            f"{folder}/pytorch_model_fsdp_0 {folder}"
        )
    if next(folder.glob("**/*_model_states.pt"), None) or (folder / "zero_to_fp32.py").is_file():
        return (
            f"{folder} holds DeepSpeed ZeRO shards only; if you trust the files, convert them: "
            f"python {folder}/zero_to_fp32.py {folder} {folder} --safe_serialization"
        )
    if gguf := sorted(p.name for p in folder.glob("*.gguf")):
        return (
            f"{folder} holds GGUF ({', '.join(gguf)}); convert it: AutoModelForCausalLM.from_pretrained(folder, "
            f"gguf_file={gguf[0]!r}), then save its weights with save_pretrained"
        )
    if (folder / "adapter_model.bin").is_file():
        return (
            f"{folder} holds a pickled adapter only (adapter_model.bin), which overmem never loads because a pickle "
            "runs code; if you trust it, convert it: safetensors.torch.save_file(torch.load('adapter_model.bin',"
            " weights_only=True), 'adapter_model.safetensors')"
        )
    return ""


def safetensors_header(file: IO[bytes]) -> tuple[dict[str, Any], int]:
    """The entries of the tensors in an open safetensors file, and the byte where their values begin.

    Raises:
        ValueError: the file ends before its header does, or the header is no JSON object.
    """
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or 8 + length > os.fstat(file.fileno()).st_size:
        raise ValueError("the file ends before its header does")
    header = parse_json(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    header.pop("__metadata__", None)
    return header, 8 + length


def tensor_shapes(files: list[Path]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor in weight files."""
    shapes: dict[str, tuple[int, ...]] = {}
    for file in files:
        with safe_open(file, framework="pt") as stream:
            shapes |= {name: tuple(stream.get_slice(name).get_shape()) for name in stream.keys()}  # noqa: SIM118
    return shapes


def stored_vocabulary(path: str) -> int:
    """Rows of the embedding or output matrix in a checkpoint's weight files; 0 if they hold neither."""
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
    """A hash of what determines a checkpoint's outputs.

    It covers the configuration, and the name, size, header and 64 evenly spaced blocks of every weight file. Training
    changes every block, so a sample of blocks distinguishes checkpoints without reading all weights. The fingerprint of
    an adapter also covers that of its base. A hub id that is not a folder is its own fingerprint.

    Args:
        path: folder or hub id.
        base: folder or hub id of an adapter's base model; None if unknown.

    Raises:
        BadCheckpoint: there are no weights, or pickled ones only.
    """
    folder = Path(path)
    if not folder.is_dir():
        return f"hub:{path}"
    digest = hashlib.sha256()
    for name in ("config.json", "adapter_config.json"):
        digest.update(json.dumps(relevant_config(folder, name), sort_keys=True).encode())
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
