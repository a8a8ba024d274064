"""The recipe: what to fine-tune, on what, and how. Read from YAML; unknown keys are errors."""

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from overmem.errors import BadRequest
from overmem.tables import NamedIn
from overmem.tasks.data import Data
from overmem.yaml_files import read_yaml

_STRICT = ConfigDict(extra="forbid")
_Kind = TypeVar("_Kind")
_MOST_MESSAGES = 5


@dataclass(frozen=True)
class Recipe:
    """A fine-tuning run. The same recipe gives the same checkpoints."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    output: str
    """Run directory: checkpoints, and everything overmem measures on them."""
    model: str = "pebble"
    """Base model: `pebble` (embedded), a folder, or a Hugging Face hub id."""
    data: Data = field(default_factory=Data)
    """What to train on, and the splits held out from it."""
    method: Annotated[str, NamedIn("overmem.tuning:TUNING")] = "full"
    """Fine-tuning method."""
    method_knobs: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of the method."""
    quantize: Literal["4bit", "8bit", "none"] = "none"
    """Quantises the frozen base with bitsandbytes; needs CUDA and a method that does not change the base's weights."""
    loss: Annotated[str, NamedIn("overmem.losses:LOSSES")] = "nll"
    """Token loss."""
    loss_knobs: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of the loss."""
    learning_rate: float = 2e-5
    """Peak learning rate."""
    epochs: float = 3.0
    """Passes over the training rows."""
    batch_size: int = 16
    """Examples per device and forward pass."""
    accumulation: int = 1
    """Forward passes per optimizer step."""
    scheduler: str = "linear"
    """Learning rate schedule, as transformers names it."""
    warmup: float = 0.0
    """Warm-up: a fraction of all steps if below 1, else a number of steps."""
    max_length: int = 1024
    """Longest example in tokens; longer ones are left out, counted and reported."""
    template: str | None = None
    """Prompt with {question} in it; by default the tokenizer's chat template, else "Question: ...\\nAnswer:"."""
    save: Literal["epoch"] | int = "epoch"
    """Save a checkpoint every epoch, or every this many steps."""
    dtype: Literal["float32", "bfloat16", "auto"] = "auto"
    """Precision of the weights: auto is float32 (with bfloat16 autocast where there is a GPU)."""
    observe_rows: int = 64
    """Rows of train and of val on which plain nll is measured at every checkpoint during training; 0 for none."""
    report_to: tuple[str, ...] = ()
    """Trackers, as transformers names them: tensorboard, wandb, trackio, ..."""
    seed: int = 0
    """Fixes data order, adapter initialisation and dropout."""
    trainer: Mapping[str, Any] = field(default_factory=dict)
    """Any other field of transformers' TrainingArguments."""


def read_recipe(path: Path | str, options: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe in a YAML file; keys in `options` take precedence.

    Raises:
        BadRequest: no such file, not YAML, or a key or value that a recipe does not allow.
    """
    return recipe_from({**read_yaml(Path(path)), **(options or {})}, str(path))


def read_data(source: object) -> Data:
    """Data from the name of a source, a YAML file with a recipe's `data` keys, or a mapping of those keys.

    Raises:
        BadRequest: a key or value that `data` does not allow.
    """
    if isinstance(source, str):
        if Path(source).suffix not in (".yaml", ".yml"):
            return Data(source=source)
        content = read_yaml(Path(source))
        source = content.get("data", content)
    return validate(Data, source, "data")


def recipe_from(content: object, where: str) -> Recipe:
    """A recipe from plain Python values; `where` names their source in error messages."""
    return validate(Recipe, content, where)


def validate(kind: type[_Kind], content: object, where: str) -> _Kind:
    """Convert a mapping to the frozen dataclass `kind`.

    Raises:
        BadRequest: an unknown or missing key, or a value that is not allowed; the message starts with `where`.
    """
    if _holds_null(content):
        raise BadRequest(f"{where}: a key or value holds the character U+0000, which no file name or model can have")
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        messages = [_message(e, kind) for e in error.errors()]
        more = f"; and {len(messages) - _MOST_MESSAGES} more" if len(messages) > _MOST_MESSAGES else ""
        raise BadRequest(f"{where}: " + "; ".join(messages[:_MOST_MESSAGES]) + more) from error


def _holds_null(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_null, (*value.keys(), *value.values())))
    return any(map(_holds_null, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


def _message(error: Any, kind: type) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        owner: Any = kind
        for part in error["loc"][:-1]:
            owner = {"data": Data}.get(str(part), owner)
        return f"unknown key {key!r}; allowed: {', '.join(owner.__dataclass_fields__)}"
    if error["type"] == "missing":
        return f"key {key!r} is missing"
    return f"{key}: {error['msg']}, got {_shortened(error['input'])}"


def _shortened(value: object) -> str:
    """What was given, in a few words: it may be of any size."""
    return reprlib.repr(value)
