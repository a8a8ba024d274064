"""Which checkpoints a run has, and their order in time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from overmem.errors import BadCheckpoint, BadRequest
from overmem.models.files import PICKLED, fingerprint, json_object
from overmem.records import Checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MERGE_NOTE = "overmem-merge.json"
"""File in a merged checkpoint's folder, written by `overmem merge`: sources, rule, weights."""
_NUMBERED = re.compile(
    r"(?:.*[-_.])?(?:checkpoint|ckpt|global_?step|step|iter|iteration|epoch)s?[-_=]?(?P<number>\d+)", re.I
)
"""A folder name that ends in a step or an epoch."""
_UNNUMBERED = re.compile(
    r"(?:checkpoint|model|epoch|ckpt)?[-_]?(?:final|best|last|latest)(?:[-_](?:model|checkpoint))?", re.I
)


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
    """The run's checkpoints: the base as step 0 (if it is known), trained ones by step, then `merged-*` by name.

    Trained checkpoints are folders `checkpoint-<step>`; other folders with a model whose name ends in a number
    (`step_100`, `global_step_100`, `iter_0000100`, `epoch_1`) or is `final`, `best` or the like; and a model in `root`
    itself. The step is read from trainer_state.json, else from the name; epochs count from 1. Copies of another
    checkpoint (`checkpoint-best`, a final model equal to the last checkpoint) are left out.

    Raises:
        BadRequest: no checkpoint in `root`.
    """
    trained = [CheckpointRef(_trained(folder, step), str(folder)) for folder, step in _numbered(root)]
    trained.sort(key=lambda ref: ref.checkpoint.step)
    merged = [
        CheckpointRef(_merged(folder), str(folder)) for folder in sorted(root.glob("merged-*")) if folder.is_dir()
    ]
    trained += _unnumbered(root, trained)
    if not trained and not merged:
        nested = sorted({str(p.parent) for p in root.glob("*/checkpoint-*") if p.is_dir()})
        hint = f"; there are some in {', '.join(nested)}: name that folder instead" if nested else ""
        raise BadRequest(
            f"no checkpoints in {root}: folders named checkpoint-<step> are expected, as transformers and TRL write "
            f"them (save_strategy='epoch' or 'steps'), or step_<n>, epoch_<n>, or a model in the folder itself; it "
            f"holds {_listing(root)}{hint}"
        )
    base = base_path(base) if base else _base_of(trained + merged)
    base_refs = [CheckpointRef(Checkpoint("base", 0, 0.0, 0.0), base)] if base else []
    return base_refs + trained + merged


def describe_order(refs: Sequence[CheckpointRef]) -> str:
    """A sentence about checkpoints whose step is known only from their names; empty if there are none."""
    named = [
        f"{ref.checkpoint.name} as step {ref.checkpoint.step}"
        for ref in refs
        if ref.checkpoint.step > 0
        and not ref.checkpoint.merged_from
        and step_in_state(Path(ref.path)) is None
        and not re.fullmatch(r"checkpoint-\d+", ref.checkpoint.name)
    ]
    if not named:
        return ""
    return f"no trainer_state.json, so steps are read from the names: {', '.join(named)}"


def _numbered(root: Path) -> list[tuple[Path, int]]:
    """Checkpoint folders with their steps, from trainer_state.json or from their names."""
    folders = [(p, int(m[1])) for p in root.glob("checkpoint-*") if (m := re.fullmatch(r"checkpoint-(\d+)", p.name))]
    if folders := [(p, step) for p, step in folders if p.is_dir()]:
        return folders
    named = [
        (p, m) for p in sorted(root.glob("*")) if p.is_dir() and (m := _NUMBERED.fullmatch(p.name)) and has_model(p)
    ]
    # A model saved after epoch 0 or step 0 is not the base: numbers that count from 0 are shifted to count from 1.
    offset = 1 if any(int(m["number"]) == 0 for _, m in named) else 0
    steps = [(p, step_in_state(p), int(m["number"]) + offset) for p, m in named]
    if all(state for _, state, _ in steps):
        return [(p, state) for p, state, _ in steps if state]
    return [(p, number) for p, _, number in steps]


def _unnumbered(root: Path, trained: Sequence[CheckpointRef]) -> list[CheckpointRef]:
    """Models without a number in their name that are not copies of numbered ones: `final`, `best`, `root` itself."""
    folders = [*(p for p in sorted(root.glob("*")) if p.is_dir() and _UNNUMBERED.fullmatch(p.name)), root]
    folders = [folder for folder in folders if has_model(folder)]
    last = max((ref.checkpoint.step for ref in trained), default=0)
    known_fingerprints = {_fingerprint(Path(ref.path)) for ref in trained} if folders else set()
    refs = []
    for folder in folders:
        weights = _fingerprint(folder)
        if not weights or weights in known_fingerprints:
            continue
        known_fingerprints.add(weights)
        last = step_in_state(folder) or last + 1
        name = "final" if folder == root else folder.name
        refs.append(CheckpointRef(replace(_trained(folder, last), name=name), str(folder)))
    return sorted(refs, key=lambda ref: ref.checkpoint.step)


def has_model(folder: Path) -> bool:
    """Whether a folder holds a model or an adapter, readable or not."""
    return any((folder / name).is_file() for name in ("config.json", "adapter_config.json")) and any(
        next(folder.glob(pattern), None) for pattern in ("*.safetensors", *PICKLED)
    )


def _fingerprint(folder: Path) -> str:
    try:
        return fingerprint(str(folder))
    except (BadCheckpoint, OSError):
        return ""


def step_in_state(folder: Path) -> int | None:
    """The step in a folder's trainer_state.json; None if there is none."""
    try:
        return int(json_object(folder / "trainer_state.json")["global_step"]) or None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def base_path(model: str) -> str:
    """The folder or hub id of a model name; `pebble` is the folder of the embedded model."""
    return str(resources.files("overmem") / "assets" / "pebble") if model == "pebble" else model


def load_tokenizer(model: str) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a model name, folder or hub id.

    Raises:
        BadRequest: it has no readable tokenizer.
    """
    try:
        return _working(base_path(model))
    except Exception as error:  # the tokenizers library raises nothing narrower for a file that it cannot read
        raise BadRequest(f"no tokenizer at {model!r}: {error}") from error


def find_tokenizer(root: Path, refs: list[CheckpointRef], name: str | None = None) -> "PreTrainedTokenizerBase":
    """Load the tokenizer `name`, else that of the run, of a checkpoint, or of the base model, whichever exists first.

    Raises:
        BadRequest: none of these has one.
    """
    if name:
        return load_tokenizer(name)
    candidates = [str(root), *(ref.path for ref in reversed(refs))]
    for candidate in candidates:
        folder = Path(candidate)
        if folder.is_dir() and not any((folder / n).is_file() for n in ("tokenizer.json", "tokenizer_config.json")):
            continue
        try:
            return _working(candidate)
        except Exception:  # the tokenizers library raises nothing narrower for a file that it cannot read
            continue
    base = refs[0].path if refs and refs[0].checkpoint.name == "base" else None
    where = f"their base {base!r}" if base else "their base, which is not known (--base)"
    raise BadRequest(f"no tokenizer in {root}, its checkpoints or {where}; name one with --tokenizer")


def _working(name: str) -> "PreTrainedTokenizerBase":
    """Load a tokenizer and encode a letter, which fails if its configuration holds values of the wrong types."""
    from transformers import AutoTokenizer  # a second of imports, which finding checkpoints does not need

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    tokenizer("a")
    return tokenizer


def _listing(root: Path) -> str:
    names = sorted(p.name for p in root.iterdir())
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "nothing"


def _base_of(refs: list[CheckpointRef]) -> str | None:
    for ref in refs:
        if ref.is_adapter:
            try:
                config = json_object(Path(ref.path) / "adapter_config.json")
            except ValueError:
                continue  # reported when the checkpoint is loaded
            if name := config.get("base_model_name_or_path"):
                return str(name)
    return None


def _trained(folder: Path, step: int) -> Checkpoint:
    """A trained checkpoint, with epoch and cumulative learning rate if trainer_state.json has them."""
    try:
        state = json_object(folder / "trainer_state.json")
    except (OSError, ValueError):
        return Checkpoint(folder.name, step)
    history, epoch = state.get("log_history"), state.get("epoch")
    rates = [
        (int(row["step"]), float(row["learning_rate"]))
        for row in (history if isinstance(history, list) else [])
        if isinstance(row, dict) and _is_number(row.get("step")) and _is_number(row.get("learning_rate"))
    ]
    total, previous = 0.0, 0
    for logged_step, rate in rates:
        total += rate * (logged_step - previous)
        previous = logged_step
    if rates:
        total += rates[-1][1] * max(0, step - previous)
    return Checkpoint(
        folder.name, step, float(epoch) if epoch is not None and _is_number(epoch) else None, total if rates else None
    )


def _is_number(value: object) -> bool:
    """Whether a value of a trainer's JSON is a number that may be computed with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e15 < value < 1e15


def _merged(folder: Path) -> Checkpoint:
    try:
        sources = [(str(s["name"]), int(s["step"])) for s in json_object(folder / MERGE_NOTE)["sources"]]
        step = max(step for _, step in sources)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return Checkpoint(folder.name, 0, merged_from=("unknown",))
    return Checkpoint(folder.name, step, merged_from=tuple(name for name, _ in sources))
