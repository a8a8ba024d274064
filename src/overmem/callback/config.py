"""The options of `OvermemCallback`: what it measures, when, within which limits, and what it does about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, Field, SkipValidation

from overmem.encoding import VERBATIM
from overmem.errors import BadRequest, unknown
from overmem.records import Example
from overmem.tasks import Data, load
from overmem.tracking import check_trackers
from overmem.training.recipe import read_data, validate

DataArgument: TypeAlias = Data | str | Path | Mapping[str, Any] | Sequence[Example]


@dataclass(frozen=True)
class CallbackConfig:
    """The keywords of `OvermemCallback`."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    data: Annotated[DataArgument, SkipValidation]
    """Which examples: a task name, a file, a hub id, a YAML file, a `Data` or its keys, as for `overmem audit --data`;
    or a list of Examples (of val), or {"train": [...], "val": [...]} of such lists."""
    rows: Annotated[int, Field(ge=2)] = 200
    """Examples of val, at most: the same ones every time, which are also those of `overmem audit`."""
    side_rows: Annotated[int, Field(ge=0)] = 64
    """Examples of train, at most (no more than `rows`); 0 for none."""
    answers: bool = False
    """Whether the model also completes the val questions greedily, to measure accuracy."""
    when: Literal["evaluate", "save", "both"] = "both"
    """At which of the Trainer's events: every evaluation, every save, or both."""
    base: bool = True
    """Whether the model is also measured before its first step."""
    max_new_tokens: Annotated[int, Field(ge=1)] | None = None
    """Longest answer, in tokens; by default 1.5 times the longest reference solution."""
    template: str | None = None
    """Prompt with {question} in it, as the model is trained on; by default nothing around plain `prompt` and
    `completion` columns, else the chat template, else "Question: {question}\\nAnswer:"."""
    tokenizer: str | None = None
    """Folder or hub id; by default the Trainer's processing class."""
    token_budget: Annotated[int, Field(ge=1)] = 8192
    """Padded tokens in one batch, prompt and completion together, which limits the memory (formula:
    `overmem.callback.memory`). It is halved permanently when a batch does not fit the device."""
    seconds: Annotated[float, Field(gt=0)] = 300.0
    """Time limit of one measurement. When it is reached, the examples measured so far are reported with their n. The
    order of the examples is random, so these are a random sample."""
    d_nll: Annotated[float, Field(gt=0)] | None = None
    """Perplexity is costly when the nll is more than this above its minimum, in nats per token; None: when it has risen
    by 15% and by half a nat per solution."""
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.03
    """Accuracy is kept when it is no more than this below the best, as a fraction."""
    stop: bool = False
    """Whether to stop training once over-memorization has begun and the newest checkpoint is not the one to ship."""
    keep: bool = False
    """Whether to name the best checkpoint so far in `overmem/recommended.json` and keep it from `save_total_limit`."""
    track: tuple[str, ...] | None = None
    """Trackers that get the verdict so far and the val questions that changed, at every measurement: trackio,
    tensorboard, mlflow, wandb; by default those of the Trainer's `report_to`. The metrics go there anyway."""
    record: bool = True
    """Whether to write the plan and the observations of saved checkpoints into the run's `overmem` folder, where
    `overmem audit` finds them."""


def config_of(options: Mapping[str, Any]) -> CallbackConfig:
    """The options as a CallbackConfig.

    Raises:
        BadRequest: an option that is missing, unknown, out of range, or requires another option.
    """
    config = validate(CallbackConfig, options, "OvermemCallback")
    for name in ("stop", "keep"):
        if getattr(config, name) and not config.answers:
            raise BadRequest(f"OvermemCallback({name}=True) needs answers=True: perplexity alone judges no checkpoint")
    check_trackers(config.track or ())
    if config.keep and not config.record:
        raise BadRequest("OvermemCallback(keep=True) needs record=True: the checkpoint is kept in the run's folder")
    return config


@dataclass(frozen=True)
class EvaluationData:
    """The examples of `OvermemCallback(data=)`."""

    data: Data | None
    """The source; None for examples that were passed directly."""
    examples: Mapping[str, Sequence[Example]]
    """Examples by split."""
    carved_splits: tuple[str, ...] = ()
    """Splits that were taken from the training rows of their source."""
    template: str | None = None
    """The prompt template that the rows require; None if they require none."""


def load_examples(argument: DataArgument) -> EvaluationData:
    """The examples that `OvermemCallback(data=)` names.

    Raises:
        BadRequest: no such source, splits of other names, or no example to select on.
        BadData: a broken row.
    """
    by_split = {"val": argument} if isinstance(argument, Sequence) and not isinstance(argument, str) else argument
    if isinstance(by_split, Mapping) and all(_are_examples(part) for part in by_split.values()):
        loaded = EvaluationData(None, {str(name): tuple(part) for name, part in by_split.items()})
        for name in loaded.examples:
            if name not in ("train", "val"):
                raise unknown("split", name, ["train", "val"], "OvermemCallback(data=)")
    else:
        data = argument if isinstance(argument, Data) else read_data(_as_source(argument))
        # Another trainer trains on the solutions as they are, so nothing is appended to them here.
        splits = load(data, append_answers=False)
        loaded = EvaluationData(data, dict(splits.splits), splits.carved_splits, VERBATIM if splits.verbatim else None)
    if not loaded.examples.get("val"):
        raise BadRequest("OvermemCallback(data=): there is no val example, but checkpoints are judged on val")
    return loaded


def _as_source(argument: object) -> object:
    return str(argument) if isinstance(argument, Path) else argument


def _are_examples(part: object) -> bool:
    return isinstance(part, Sequence) and not isinstance(part, str) and all(isinstance(e, Example) for e in part)
