"""What other trainers write of their own arguments into a run's folder: YAML and JSON; pickles are never opened.

TRL and transformers keep theirs in training_args.bin only, which is a pickle: of them, only the name is known.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml


@dataclass(frozen=True)
class TrainerFile:
    """The arguments of a run, as far as they decide which tokens were trained."""

    trainer: str
    path: Path
    data: tuple[str, ...] = ()
    """Data sets, as the trainer was given them: files, hub ids, or names."""
    template: str = ""
    """Name of the trainer's own template; empty for the tokenizer's."""
    replies: Literal["last", "each"] | None = None
    """Which replies of a conversation count in the loss; None where that is not known."""
    counts_prompt: bool = False
    """Whether the prompt's tokens count in the loss too."""
    is_literal: bool = False
    """Whether replies are trained as the data has them, whatever the saved chat template makes of them."""
    system: str = ""
    """The system turn of conversations that have none."""
    bits: int | None = None
    """Precision of a quantised base."""

    def __str__(self) -> str:
        """One line: the trainer, where that is from, and what was trained."""
        parts = [f"trained by {self.trainer} ({self.path.name})"]
        if self.data:
            parts.append(f"data {', '.join(self.data)}")
        if self.template:
            parts.append(f"template {self.template}")
        if self.replies:
            parts.append(f"{'the last reply' if self.replies == 'last' else 'every reply'} of a conversation")
        if self.counts_prompt:
            parts.append("its loss counts the prompt's tokens too")
        if self.system:
            parts.append(f"system turn {self.system[:60]!r}")
        if self.bits:
            parts.append(f"base in {self.bits} bits")
        return ", ".join(parts)

    def data_file(self) -> Path | None:
        """The one local file that was trained on; None if it is missing or not the only one."""
        paths = [Path(name) for name in self.data]
        found = [p if p.is_absolute() else self.path.parent / p for p in paths]
        found = [f if f.is_file() else p for f, p in zip(found, paths, strict=True)]
        return found[0] if len(found) == 1 and found[0].is_file() else None


def trainer_file(root: Path) -> TrainerFile | None:
    """The arguments that a run's folder, or its first checkpoint, keeps; None where there are none."""
    folders = [root, *sorted(p for p in root.glob("checkpoint-*") if p.is_dir())[:1]]
    for folder in folders:
        for name, read in _READERS.items():
            path = folder / name
            if path.is_file() and (found := read(path, _content(path))) is not None:
                return found
    return None


def _content(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".md":
            return {"text": text}
        found = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _names(value: Any) -> tuple[str, ...]:
    """Names of data sets: a list, or one text with commas; ms-swift's `#500` (so many rows) is left out."""
    listed = value if isinstance(value, list) else str(value or "").split(",")
    return tuple(str(name).partition("#")[0].strip() for name in listed if str(name).strip())


def _llama_factory(path: Path, content: Mapping[str, Any]) -> TrainerFile | None:
    board = {key.rpartition(".")[2]: value for key, value in content.items()}  # llamaboard: `train.dataset`
    if "template" not in board or "dataset" not in board:
        return None
    folder = Path(str(board.get("dataset_dir") or "data"))
    return TrainerFile(
        "LLaMA-Factory",
        path,
        tuple(_registered(folder, name) for name in _names(board["dataset"])),
        str(board["template"]),
        "last" if board.get("mask_history") else "each",
        bool(board.get("train_on_prompt")),
        True,
        str(board.get("default_system") or ""),
        _bits(board.get("quantization_bit")),
    )


def _registered(folder: Path, name: str) -> str:
    """The file of a data set in LLaMA-Factory's dataset_info.json; the name itself if that file is missing."""
    entry = _content(folder / "dataset_info.json").get(name)
    file = entry.get("file_name") if isinstance(entry, dict) else None
    return str(folder / file) if file else name


def _swift(path: Path, content: Mapping[str, Any]) -> TrainerFile | None:
    if not {"template", "dataset"} <= set(content):
        return None
    scale = str(content.get("loss_scale") or "default")
    return TrainerFile(
        "ms-swift",
        path,
        _names(content["dataset"]),
        str(content["template"] or ""),
        "last" if scale == "last_round" else "each",
        scale == "all",
        True,
        str(content.get("system") or ""),
        _bits(content.get("quant_bits")),
    )


def _axolotl(path: Path, content: Mapping[str, Any]) -> TrainerFile | None:
    if "text" in content:  # a model card holds the configuration in a block of YAML
        block = re.search(r"axolotl version:.*?```yaml\n(.*?)```", content["text"], re.S)
        try:
            content = yaml.safe_load(block[1]) if block else {}
        except yaml.YAMLError:
            return None
    if not isinstance(content, dict) or not {"base_model", "datasets"} <= set(content):
        return None
    sets = [entry for entry in content["datasets"] or () if isinstance(entry, dict)]
    is_each = any(str(entry.get("train_on_eos") or entry.get("roles_to_train") or "") for entry in sets)
    bits = 4 if content.get("load_in_4bit") else 8 if content.get("load_in_8bit") else None
    return TrainerFile(
        "axolotl",
        path,
        tuple(str(entry.get("path")) for entry in sets),
        str(content.get("chat_template") or ", ".join(dict.fromkeys(str(entry.get("type")) for entry in sets))),
        "each" if is_each or any(str(e.get("type")) == "chat_template" for e in sets) else None,
        bool(content.get("train_on_inputs")),
        bits=bits,
    )


def _torchtune(path: Path, content: Mapping[str, Any]) -> TrainerFile | None:
    data = content.get("dataset")
    if not isinstance(data, dict) or "_component_" not in data:
        return None
    files = data.get("data_files")
    source = files if files and data.get("source") == "json" else data.get("source")
    component = str(data["_component_"]).rpartition(".")[2]
    return TrainerFile(
        "torchtune", path, _names(source), component, None, bool(data.get("train_on_input")), is_literal=True
    )


def _card(path: Path, content: Mapping[str, Any]) -> TrainerFile | None:
    """A model card names its trainer and little else."""
    text = content.get("text", "")
    if (found := _axolotl(path, content)) is not None:
        return found
    header = text.partition("\n---")[0]
    names = (("llama-factory", "LLaMA-Factory"), ("unsloth", "unsloth"), ("trl", "TRL"))
    name = next((shown for tag, shown in names if re.search(rf"^- {tag}$", header, re.M)), "")
    return TrainerFile(name, path) if name else None


def _bits(value: Any) -> int | None:
    return int(value) if str(value).isdecimal() else None


_READERS = {
    "training_args.yaml": _llama_factory,
    "llamaboard_config.yaml": _llama_factory,
    "args.json": _swift,
    "axolotl_config.yaml": _axolotl,
    "torchtune_config.yaml": _torchtune,
    "README.md": _card,
}
"""File name -> reader, the most telling first."""
