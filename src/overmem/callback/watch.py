"""What an `OvermemCallback` measures, when, within which bounds, and what it does about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, Field, SkipValidation

from overmem.errors import BadRequest, unknown
from overmem.observe.engines.decoding import Decoding
from overmem.observe.plan import Split, context_of, longest_completion, planned
from overmem.records import Example
from overmem.tasks import Data, load
from overmem.training.recipe import read_data, validated

Given: TypeAlias = Data | str | Path | Mapping[str, Any] | Sequence[Example]


@dataclass(frozen=True)
class CallbackConfig:
    """The keywords of `OvermemCallback`."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    data: Annotated[Given, SkipValidation]
    """Which examples: a task name, a file, a hub id, a YAML file, a `Data` or its keys, as `overmem audit --data` takes
    them; or a list of Examples (of val), or {"train": [...], "val": [...]} of such lists."""
    rows: Annotated[int, Field(ge=2)] = 200
    """Examples of val, at most: the same ones every time, and the ones that `overmem audit` takes."""
    side_rows: Annotated[int, Field(ge=0)] = 64
    """Examples of train, at most (no more than `rows`); 0 for none."""
    answers: bool = False
    """Whether the model answers the val questions too, greedily, to see how many it solves."""
    when: Literal["evaluate", "save", "both"] = "both"
    """At which of the Trainer's own moments: every evaluation, every save, or both."""
    base: bool = True
    """Whether the model is measured before its first step too."""
    max_new_tokens: Annotated[int, Field(ge=1)] | None = None
    """Longest answer, in tokens; by default half as long again as the longest reference solution."""
    template: str | None = None
    """Prompt with {question} in it, as the model is trained on; by default the chat template, else
    "Question: {question}\\nAnswer:"."""
    tokenizer: str | None = None
    """Folder or hub id; by default the Trainer's processing class."""
    token_budget: Annotated[int, Field(ge=1)] = 8192
    """Padded tokens in one batch, prompt and answer together: what bounds the memory (`overmem.callback.bound` has the
    formula). It is halved, for good, when a batch does not fit the device."""
    seconds: Annotated[float, Field(gt=0)] = 300.0
    """Longest time of one measurement. When it is over, what was measured so far is reported with its own n. The
    examples are taken in random order, so a part is a sample of the whole."""
    d_nll: Annotated[float, Field(gt=0)] = 0.05
    """Perplexity is costly when the nll lies more than this above its minimum, in nats per token."""
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.03
    """Accuracy is kept when it lies no more than this below the best, as a fraction."""
    stop: bool = False
    """Whether training ends once over-memorization has begun and the newest checkpoint is not the one to ship."""
    keep: bool = False
    """Whether the checkpoint to ship so far is named in `overmem/recommended.json` and kept from `save_total_limit`."""
    record: bool = True
    """Whether what is measured of a saved checkpoint, and what was asked, is written into the run's `overmem` folder,
    where `overmem audit` finds it."""


def watch_of(asked: Mapping[str, Any]) -> CallbackConfig:
    """A Watch of these keywords.

    Raises:
        BadRequest: a keyword that is missing, unknown, out of its range, or that goes with no other.
    """
    watch = validated(CallbackConfig, asked, "OvermemCallback")
    for name in ("stop", "keep"):
        if getattr(watch, name) and not watch.answers:
            raise BadRequest(f"OvermemCallback({name}=True) needs answers=True: perplexity alone judges no checkpoint")
    if watch.keep and not watch.record:
        raise BadRequest("OvermemCallback(keep=True) needs record=True: the checkpoint is kept in the run's folder")
    return watch


def examples_of(given: Given) -> tuple[Data | None, dict[str, Sequence[Example]], tuple[str, ...]]:
    """The data that the examples come from, those of every split, and the splits that were cut out of training rows.

    The data is None if they are given as they are.

    Raises:
        BadRequest: no such source, splits of other names, or no example to select on.
        BadData: a broken row.
    """
    cut: tuple[str, ...] = ()
    listed = {"val": given} if isinstance(given, Sequence) and not isinstance(given, str) else given
    if isinstance(listed, Mapping) and all(_are_examples(part) for part in listed.values()):
        data, found = None, {str(name): tuple(part) for name, part in listed.items()}
        for name in found:
            if name not in ("train", "val"):
                raise unknown("split", name, ["train", "val"], "OvermemCallback(data=)")
    else:
        data = given if isinstance(given, Data) else read_data(str(given) if isinstance(given, Path) else given)
        loaded = load(data)
        found, cut = dict(loaded.splits), loaded.cut
    if not found.get("val"):
        raise BadRequest("OvermemCallback(data=): there is no val example, and checkpoints are judged on val")
    return data, dict(found), cut


def _are_examples(part: object) -> bool:
    return isinstance(part, Sequence) and not isinstance(part, str) and all(isinstance(e, Example) for e in part)


@dataclass(frozen=True)
class EvaluationSet:
    """A Watch's examples, rendered for one model and its tokenizer."""

    data: Data | None
    """Where they come from; None if they were given as they are."""
    base: str | None
    """Folder or hub id of the model that training began from; None if it has no name."""
    tokenizer: Any
    decoding: Decoding
    splits: Mapping[str, Split]
    """`val`, and `train` where there is one."""
    dtype: str = "float32"
    """Precision of the model's weights, as it is measured."""
    cut: tuple[str, ...] = ()
    """Splits that were cut out of the training rows of their source."""


def plan_of(
    watch: CallbackConfig,
    data: Data | None,
    examples: Mapping[str, Sequence[Example]],
    cut: tuple[str, ...],
    model: Any,
    tokenizer: Any,
) -> EvaluationSet:
    """The same rows, token ids and decoding that `overmem audit` would have of the same request."""
    limit = watch.max_new_tokens or longest_completion(examples, tokenizer, watch.template)
    decoding = Decoding(max_new_tokens=limit)
    rows = {"val": watch.rows, "train": min(watch.rows, watch.side_rows)}
    chosen = {name: examples[name] for name in rows if rows[name] and examples.get(name)}
    context = context_of(model.config)
    dtype = dtype_of(model)
    splits = planned(tokenizer, chosen, decoding, rows=rows, context=context, template=watch.template, dtype=dtype)
    if watch.answers and "samples" not in splits["val"].kinds:
        raise BadRequest("OvermemCallback(answers=True): the val examples have no answers (kind: none)")
    if not splits["val"].encoded:
        raise BadRequest(f"OvermemCallback(data=): no val example fits the {context} tokens of the model's context")
    return EvaluationSet(data, base_name(model), tokenizer, decoding, splits, dtype, cut)


def dtype_of(model: Any) -> str:
    """Precision of a model's weights: float32, bfloat16, ..."""
    return str(model.dtype).removeprefix("torch.")


def base_name(model: Any) -> str | None:
    """Folder (absolute) or hub id of the model that training began from, as its configuration names it."""
    adapters = getattr(model, "peft_config", None)
    name = next(iter(adapters.values())).base_model_name_or_path if adapters else model.config._name_or_path
    return (str(Path(name).resolve()) if Path(name).is_dir() else str(name)) if name else None
