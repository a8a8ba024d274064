"""The callback's examples, rendered for one model and its tokenizer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from overmem.callback.config import CallbackConfig, EvaluationData
from overmem.errors import BadRequest
from overmem.observe.engines.decoding import Decoding
from overmem.observe.plan import Split, context_of, longest_completion, planned
from overmem.tasks import Data


@dataclass(frozen=True)
class EvaluationSet:
    """The callback's examples, rendered for one model and its tokenizer."""

    data: Data | None
    """The source of the examples; None if they were passed directly."""
    base: str | None
    """Folder or hub id of the model that training started from; None if it has no name."""
    tokenizer: Any
    decoding: Decoding
    splits: Mapping[str, Split]
    """`val`, and `train` if there is one."""
    dtype: str = "float32"
    """Precision of the model's weights."""
    carved_splits: tuple[str, ...] = ()
    """Splits that were taken from the training rows of their source."""
    template: str | None = None
    """Prompt with {question} in it; None for the tokenizer's own."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Split -> number of examples available; `splits` has those that are measured."""


def encode_evaluation_set(config: CallbackConfig, source: EvaluationData, model: Any, tokenizer: Any) -> EvaluationSet:
    """Choose and encode the examples: the rows, token ids and decoding of `overmem audit` with the same options.

    Args:
        config: the callback's options.
        source: all examples.
        model: the model in training.
        tokenizer: its tokenizer.

    Raises:
        BadRequest: no val example fits the context, or `answers` is set and the examples have no answers.
    """
    examples = source.examples
    template = source.template if config.template is None else config.template
    limit = config.max_new_tokens or longest_completion(examples, tokenizer, template)
    decoding = Decoding(max_new_tokens=limit)
    rows = {"val": config.rows, "train": min(config.rows, config.side_rows)}
    selected = {name: examples[name] for name in rows if rows[name] and examples.get(name)}
    context = context_of(model.config)
    dtype = dtype_of(model)
    splits = planned(tokenizer, selected, decoding, rows=rows, context=context, template=template, dtype=dtype)
    if config.answers and "samples" not in splits["val"].kinds:
        raise BadRequest("OvermemCallback(answers=True): the val examples have no answers (kind: none)")
    if not splits["val"].encoded:
        raise BadRequest(f"OvermemCallback(data=): no val example fits the {context} tokens of the model's context")
    return EvaluationSet(
        source.data,
        base_name(model),
        tokenizer,
        decoding,
        splits,
        dtype,
        source.carved_splits,
        template,
        {name: len(of_split) for name, of_split in examples.items()},
    )


def dtype_of(model: Any) -> str:
    """Precision of a model's weights: float32, bfloat16, ..."""
    return str(model.dtype).removeprefix("torch.")


def base_name(model: Any) -> str | None:
    """Folder (absolute) or hub id of the model that training started from, as its configuration names it."""
    adapters = getattr(model, "peft_config", None)
    name = next(iter(adapters.values())).base_model_name_or_path if adapters else model.config._name_or_path
    return (str(Path(name).resolve()) if Path(name).is_dir() else str(name)) if name else None
