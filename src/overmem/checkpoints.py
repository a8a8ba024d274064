"""Checkpoints on disk: which a run has, where they stand in time, and their weights in one model skeleton.

Reads what any Hugging Face trainer writes: full weights in safetensors (one file or shards) and PEFT adapters.
Pickled weights are refused.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from overmem.errors import BadCheckpoint, BadRequest, unknown
from overmem.records import Checkpoint
from overmem.virtual import without_prompt_learning

PICKLED = ("pytorch_model*.bin", "adapter_model.bin", "*.pt", "*.pth", "*.ckpt")
Model: TypeAlias = Any
"""A transformers causal language model, or PEFT's wrapper around one."""
MERGE_NOTE = "overmem-merge.json"
"""Written into a merged folder by `overmem merge`: sources, rule, weights."""
KEEPS_BASE = (True, False, None, "gaussian", "eva", "orthogonal")
"""Initialisations that leave the base weights as they are (pissa, olora, corda and loftq do not)."""


@dataclass(frozen=True)
class Found:
    """A checkpoint and the folder (or hub id, for the base) that holds its weights."""

    checkpoint: Checkpoint
    path: str

    @property
    def is_adapter(self) -> bool:
        """Whether the folder holds a PEFT adapter."""
        return (Path(self.path) / "adapter_config.json").is_file()


def check_device(device: str) -> None:
    """Refuse a device that is not there.

    Raises:
        BadRequest: what was given, and what there is.
    """
    there = ["cpu"]
    if (accelerator := torch.accelerator.current_accelerator(check_available=True)) is not None:
        there += [accelerator.type, *(f"{accelerator.type}:{i}" for i in range(torch.accelerator.device_count()))]
    if device not in there:
        raise unknown("device", device, ["auto", *there], "this machine's")


def found_in(root: Path, base: str | None = None) -> list[Found]:
    """The run's checkpoints: the base (if known) as step 0, `checkpoint-<step>` by step, `merged-*` by name.

    Raises:
        BadRequest: no checkpoint folder in `root`.
    """
    trained = []
    for folder in root.glob("checkpoint-*"):
        if folder.is_dir() and (match := re.fullmatch(r"checkpoint-(\d+)", folder.name)):
            trained.append(Found(_placed(folder, int(match[1])), str(folder)))
    trained.sort(key=lambda f: f.checkpoint.step)
    merged = [Found(_merged(folder), str(folder)) for folder in sorted(root.glob("merged-*")) if folder.is_dir()]
    if not trained and not merged:
        raise BadRequest(
            f"no checkpoints in {root}: folders named checkpoint-<step> are expected, as transformers and TRL write "
            f"them (save_strategy='epoch' or 'steps'); it holds {_listing(root)}"
        )
    base = base_path(base) if base else _base_of(trained + merged)
    first = [Found(Checkpoint("base", 0, 0.0, 0.0), base)] if base else []
    return first + trained + merged


def base_path(model: str) -> str:
    """Where the weights of a model name are: the embedded `pebble`, or the folder or hub id itself."""
    return str(resources.files("overmem") / "assets" / "pebble") if model == "pebble" else model


def tokenizer_at(model: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model name, folder or hub id.

    Raises:
        BadRequest: there is none.
    """
    try:
        return AutoTokenizer.from_pretrained(base_path(model), trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises nothing narrower for a file that it cannot read
        raise BadRequest(f"no tokenizer at {model!r}: {error}") from error


def _listing(root: Path) -> str:
    names = sorted(p.name for p in root.iterdir())
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "nothing"


def _base_of(found: list[Found]) -> str | None:
    for one in found:
        if one.is_adapter:
            try:
                config = _json(Path(one.path) / "adapter_config.json")
            except ValueError:
                continue  # it is told of when the checkpoint is loaded
            if name := config.get("base_model_name_or_path"):
                return str(name)
    return None


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; ValueError where it is none."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no JSON object")
    return found


def _placed(folder: Path, step: int) -> Checkpoint:
    """Where a checkpoint stands in time, by the log that its trainer wrote; by its name where that is not whole."""
    try:
        state = _json(folder / "trainer_state.json")
    except (OSError, ValueError):
        return Checkpoint(folder.name, step)
    rates = [
        (int(row["step"]), float(row["learning_rate"]))
        for row in state.get("log_history", [])
        if "learning_rate" in row
    ]
    total, previous = 0.0, 0
    for at, rate in rates:
        total += rate * (at - previous)
        previous = at
    if rates:
        total += rates[-1][1] * max(0, step - previous)
    return Checkpoint(folder.name, step, state.get("epoch"), total if rates else None)


def _merged(folder: Path) -> Checkpoint:
    try:
        sources = _json(folder / MERGE_NOTE)["sources"]
    except (OSError, ValueError, KeyError):
        return Checkpoint(folder.name, 0, merged_from=("unknown",))
    return Checkpoint(folder.name, max(s["step"] for s in sources), merged_from=tuple(s["name"] for s in sources))


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
        digest.update(json.dumps(_shape_of(folder, name), sort_keys=True).encode())
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


def tokenizer_of(root: Path, found: list[Found], given: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer: the one given, else the run's, a checkpoint's, or the base model's.

    Raises:
        BadRequest: none of these has one.
    """
    if given:
        return tokenizer_at(given)
    places = [str(root), *(f.path for f in reversed(found))]
    for place in places:
        folder = Path(place)
        if folder.is_dir() and not any((folder / n).is_file() for n in ("tokenizer.json", "tokenizer_config.json")):
            continue
        try:
            return AutoTokenizer.from_pretrained(place, trust_remote_code=False)
        except Exception:  # the tokenizers library raises nothing narrower for a file that it cannot read
            continue
    base = found[0].path if found and found[0].checkpoint.name == "base" else None
    where = f"their base {base!r}" if base else "their base, which is not known (--base)"
    raise BadRequest(f"no tokenizer in {root}, its checkpoints or {where}; give one with --tokenizer")


@dataclass
class Skeleton:
    """One model in memory whose weights are swapped from checkpoint to checkpoint instead of being loaded anew."""

    base: str | None
    """Folder or hub id of the base model; needed for adapters."""
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    _model: Any = field(default=None, repr=False)
    _config: dict[str, Any] = field(default_factory=dict, repr=False)
    _holds: str = field(default="", repr=False)
    _restores: bool = field(default=False, repr=False)

    def model(self, found: Found) -> Model:
        """The model with this checkpoint's weights, in evaluation mode.

        Raises:
            BadCheckpoint: pickled, truncated, missing or ill-shaped weights.
            BadRequest: the model does not fit the device.
        """
        if self._model is not None and self._holds == found.path:
            return self._model
        try:
            model = self._with_adapter(found) if found.is_adapter else self._with_weights(found.path)
        except torch.OutOfMemoryError as error:
            self._model = None
            raise BadRequest(f"{found.path} does not fit {self.device}: {error}; allowed: another --device") from error
        except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
            self._model = None
            raise BadCheckpoint(f"{found.path} cannot be loaded: {error}") from error
        model.train(False)
        return model

    def _with_weights(self, path: str) -> Model:
        folder = Path(path)
        if self._model is not None and self._holds == path:
            return self._model
        if not folder.is_dir():
            return self._loaded(path)
        files = weight_files(folder)
        config = _shape_of(folder)
        if self._model is None or config != self._config or not _fits(self._model, files):
            return self._loaded(path)
        self._holds = ""
        _swap(self._model, files)
        self._holds = path
        return self._model

    def _loaded(self, path: str) -> Model:
        self._model = None
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path, dtype=self.dtype, use_safetensors=True, output_loading_info=True, trust_remote_code=False
        )
        model, info = loaded
        if info["missing_keys"]:
            raise BadCheckpoint(f"{path} lacks weights: {', '.join(sorted(info['missing_keys'])[:5])}")
        self._model = model.to(self.device)
        self._config, self._holds = _shape_of(Path(path)), path
        return self._model

    def _with_adapter(self, found: Found) -> Model:
        from peft import PeftModel, get_peft_model_state_dict

        if self.base is None:
            raise BadCheckpoint(f"{found.path} is an adapter and its base model is not known; give --base")
        files = weight_files(Path(found.path))
        if self._model is not None and hasattr(self._model, "peft_config"):
            kept = self._model if self._restores else None
            self._model = kept.unload() if kept is not None else None
            self._holds = self.base if kept is not None else ""
        base = self._with_weights(self.base)
        config = _json(Path(found.path) / "adapter_config.json")
        is_lora = config.get("peft_type") == "LORA"
        self._restores = is_lora and config.get("init_lora_weights", True) in KEEPS_BASE
        model: Any = PeftModel.from_pretrained(base, found.path, torch_device=self.device)
        expected = set(get_peft_model_state_dict(model, save_embedding_layers=False))
        if lacking := sorted(expected - _names(files)):  # of which PEFT only warns, and leaves the base as it is there
            self._model = None
            raise BadCheckpoint(f"{found.path} lacks weights: {', '.join(lacking[:5])}")
        prompt = model.active_peft_config.is_prompt_learning
        self._model = without_prompt_learning(model, found.path) if prompt else model
        self._holds = found.path
        return self._model


_INCIDENTAL = {
    "_name_or_path", "transformers_version", "use_cache", "dtype", "torch_dtype",
    "base_model_name_or_path", "revision", "inference_mode", "peft_version", "auto_mapping",
}  # fmt: skip
"""Keys of a configuration that change nothing in what the model computes."""


def _shape_of(folder: Path, name: str = "config.json") -> dict[str, Any]:
    try:
        config = _json(folder / name)
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in config.items() if k not in _INCIDENTAL}


def _names(files: list[Path]) -> set[str]:
    found: set[str] = set()
    for file in files:
        with safe_open(file, framework="pt") as stream:
            found |= set(stream.keys())
    return found


def _fits(model: Model, files: list[Path]) -> bool:
    """Whether the files name every weight of the model, in its shapes (tied ones once)."""
    shapes: dict[str, tuple[int, ...]] = {}
    for file in files:
        with safe_open(file, framework="pt") as stream:
            shapes |= {name: tuple(stream.get_slice(name).get_shape()) for name in stream.keys()}  # noqa: SIM118
    targets = model.state_dict()
    named = {targets[name].data_ptr() for name in shapes if name in targets}
    return all(name in targets and tuple(targets[name].shape) == shape for name, shape in shapes.items()) and all(
        tensor.data_ptr() in named for tensor in targets.values()
    )


@torch.no_grad()
def _swap(model: Model, files: list[Path]) -> None:
    """Copy every tensor of `files` into `model`, one at a time."""
    targets = model.state_dict()
    for file in files:
        with safe_open(file, framework="pt") as stream:
            for name in stream.keys():  # noqa: SIM118
                targets[name].copy_(stream.get_tensor(name))
