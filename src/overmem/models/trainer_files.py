"""The arguments that other trainers save in a run's folder, as YAML or JSON; pickles are never opened.

TRL and transformers save theirs only in training_args.bin, which is a pickle, so only the trainer's name is known.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from overmem.json_text import parse_json
from overmem.yaml_files import parse_yaml


@dataclass(frozen=True)
class TrainerFile:
    """The arguments of a run that determine which tokens were trained on."""

    trainer: str
    path: Path
    data: tuple[str, ...] = ()
    """Data sets as the trainer's arguments name them: files, hub ids, or names."""
    template: str = ""
    """Name of the trainer's own template; empty for the tokenizer's."""
    replies: Literal["last", "each"] | None = None
    """Which replies of a conversation are trained on; None if that is not known."""
    counts_prompt: bool = False
    """Whether the prompt's tokens are trained on too."""
    is_literal: bool = False
    """Whether replies are trained on unchanged, even if the saved chat template would change them."""
    system: str = ""
    """The system turn for conversations without one."""
    bits: int | None = None
    """Precision of a quantised base."""

    def __str__(self) -> str:
        """One line: the trainer, the file that says so, and what was trained on."""
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
        files = [p if p.is_absolute() else self.path.parent / p for p in paths]
        files = [file if file.is_file() else path for file, path in zip(files, paths, strict=True)]
        return files[0] if len(files) == 1 and files[0].is_file() else None


def trainer_file(root: Path) -> TrainerFile | None:
    """The arguments saved in a run's folder or in its first checkpoint; None if there are none."""
    folders = [root, *sorted(p for p in root.glob("checkpoint-*") if p.is_dir())[:1]]
    for folder in folders:
        for name, read in _READERS.items():
            path = folder / name
            if path.is_file() and (arguments := read(path, _content(path))) is not None:
                return arguments
    return None


def _content(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".md":
            return {"text": text}
        content = parse_json(text) if path.suffix == ".json" else parse_yaml(text)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and all(isinstance(key, str) for key in content) else {}


def _names(value: Any) -> tuple[str, ...]:
    """Names of data sets, from a list or a comma-separated string; ms-swift's `#500` (number of rows) is left out."""
    names = value if isinstance(value, list) else str(value or "").split(",")
    return tuple(str(name).partition("#")[0].strip() for name in names if str(name).strip())


def _llama_factory(path: Path, content: Mapping[str, Any]) -> TrainerFile | None:
    settings = {key.rpartition(".")[2]: value for key, value in content.items()}  # llamaboard: `train.dataset`
    if "template" not in settings or "dataset" not in settings:
        return None
    folder = Path(str(settings.get("dataset_dir") or "data"))
    return TrainerFile(
        "LLaMA-Factory",
        path,
        tuple(_registered(folder, name) for name in _names(settings["dataset"])),
        str(settings["template"]),
        "last" if settings.get("mask_history") else "each",
        bool(settings.get("train_on_prompt")),
        True,
        str(settings.get("default_system") or ""),
        _bits(settings.get("quantization_bit")),
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
            content = parse_yaml(block[1]) if block else {}
        except ValueError:
            return None
    if not isinstance(content, dict) or not {"base_model", "datasets"} <= set(content):
        return None
    data_sets = [entry for entry in _listed(content["datasets"]) if isinstance(entry, dict)]
    trains_each = any(str(entry.get("train_on_eos") or entry.get("roles_to_train") or "") for entry in data_sets)
    bits = 4 if content.get("load_in_4bit") else 8 if content.get("load_in_8bit") else None
    return TrainerFile(
        "axolotl",
        path,
        tuple(str(entry.get("path")) for entry in data_sets),
        str(content.get("chat_template") or ", ".join(dict.fromkeys(str(entry.get("type")) for entry in data_sets))),
        "each" if trains_each or any(str(e.get("type")) == "chat_template" for e in data_sets) else None,
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
    """The trainer named in a model card, which has few other arguments."""
    text = content.get("text", "")
    if (arguments := _axolotl(path, content)) is not None:
        return arguments
    header = text.partition("\n---")[0]
    names = (("llama-factory", "LLaMA-Factory"), ("unsloth", "unsloth"), ("trl", "TRL"))
    name = next((trainer for tag, trainer in names if re.search(rf"^- {tag}$", header, re.M)), "")
    return TrainerFile(name, path) if name else None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


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
"""File name -> reader, in the order of preference."""
