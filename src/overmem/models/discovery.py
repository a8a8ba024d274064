"""Which checkpoints a run has, and where they stand in time."""

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from overmem.errors import BadRequest
from overmem.models.files import json_object
from overmem.records import Checkpoint

MERGE_NOTE = "overmem-merge.json"
"""Written into a merged folder by `overmem merge`: sources, rule, weights."""


@dataclass(frozen=True)
class CheckpointRef:
    """A checkpoint and the folder (or hub id, for the base) that holds its weights."""

    checkpoint: Checkpoint
    path: str

    @property
    def is_adapter(self) -> bool:
        """Whether the folder holds a PEFT adapter."""
        return (Path(self.path) / "adapter_config.json").is_file()


def find_checkpoints(root: Path, base: str | None = None) -> list[CheckpointRef]:
    """The run's checkpoints: the base (if known) as step 0, `checkpoint-<step>` by step, `merged-*` by name.

    Raises:
        BadRequest: no checkpoint folder in `root`.
    """
    trained = []
    for folder in root.glob("checkpoint-*"):
        if folder.is_dir() and (match := re.fullmatch(r"checkpoint-(\d+)", folder.name)):
            trained.append(CheckpointRef(_placed(folder, int(match[1])), str(folder)))
    trained.sort(key=lambda f: f.checkpoint.step)
    merged = [
        CheckpointRef(_merged(folder), str(folder)) for folder in sorted(root.glob("merged-*")) if folder.is_dir()
    ]
    if not trained and not merged:
        raise BadRequest(
            f"no checkpoints in {root}: folders named checkpoint-<step> are expected, as transformers and TRL write "
            f"them (save_strategy='epoch' or 'steps'); it holds {_listing(root)}"
        )
    base = base_path(base) if base else _base_of(trained + merged)
    first = [CheckpointRef(Checkpoint("base", 0, 0.0, 0.0), base)] if base else []
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


def tokenizer_of(root: Path, found: list[CheckpointRef], given: str | None = None) -> PreTrainedTokenizerBase:
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


def _listing(root: Path) -> str:
    names = sorted(p.name for p in root.iterdir())
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "nothing"


def _base_of(found: list[CheckpointRef]) -> str | None:
    for one in found:
        if one.is_adapter:
            try:
                config = json_object(Path(one.path) / "adapter_config.json")
            except ValueError:
                continue  # it is told of when the checkpoint is loaded
            if name := config.get("base_model_name_or_path"):
                return str(name)
    return None


def _placed(folder: Path, step: int) -> Checkpoint:
    """Where a checkpoint stands in time, by the log that its trainer wrote; by its name where that is not whole."""
    try:
        state = json_object(folder / "trainer_state.json")
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
        sources = json_object(folder / MERGE_NOTE)["sources"]
    except (OSError, ValueError, KeyError):
        return Checkpoint(folder.name, 0, merged_from=("unknown",))
    return Checkpoint(folder.name, max(s["step"] for s in sources), merged_from=tuple(s["name"] for s in sources))
