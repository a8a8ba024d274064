"""The inputs and outputs of an engine: settings, prompts, and completions as token ids."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from overmem.models.discovery import CheckpointRef


@dataclass(frozen=True)
class Decoding:
    """How completions are sampled."""

    draws: int = 0
    """Sampled completions per prompt at each temperature, in addition to the greedy one."""
    temperatures: tuple[float, ...] = (0.7,)
    """Temperatures of the draws: draws 1 to `draws` at the first, as many again at the second, ..."""
    max_new_tokens: int = 256
    """Tokens after which a completion is truncated (and counted as such)."""
    seed: int = 0
    """Part of the seed of every draw."""
    engine: str = "hf"
    """Which engine completes: a name in `overmem.observe.engines.ENGINES`, or "module:Class"."""

    @property
    def repeats(self) -> int:
        """Completions per prompt: the greedy one and all draws."""
        return 1 + self.draws * len(self.temperatures)

    def temperature_of(self, draw: int) -> float:
        """Temperature of one completion; 0 for the greedy one."""
        return self.temperatures[(draw - 1) // self.draws] if draw else 0.0


@dataclass(frozen=True)
class EngineSettings:
    """Settings of an engine that are the same for all checkpoints."""

    base: str | None = None
    """Folder or hub id of the base model; None if unknown."""
    dtype: torch.dtype = torch.float32
    """Precision of the weights."""
    context: int = 2048
    """Tokens of the longest prompt and its completion."""
    adapters: tuple[CheckpointRef, ...] = ()
    """The checkpoints that are PEFT adapters."""
    token_budget: int = 16384
    """Most padded tokens in memory at once, prompt and completion, over all rows."""


@dataclass(frozen=True)
class PromptBatch:
    """The prompts of a split, which are completed in one call."""

    prompts: Sequence[Sequence[int]]
    """Token ids."""
    names: Sequence[str]
    """Split and example id of each prompt; together with `decoding.seed` they determine the draws."""
    decoding: Decoding
    stop_ids: Sequence[int]
    """Tokens that end a completion."""


@dataclass(frozen=True)
class Completion:
    """One generated sequence."""

    prompt: int
    """Index into `PromptBatch.prompts`."""
    draw: int
    """0 is greedy."""
    token_ids: tuple[int, ...]
    """Without the end-of-sequence token."""
    logprob: float
    """Summed log probability at temperature 1, including the end-of-sequence token."""
    stop: str
    """`eos` or `length`."""


@dataclass(frozen=True)
class Prefill:
    """The result of a forward pass over several prompts, so that scoring can use it too."""

    prompts: tuple[int, ...]
    """Indices into `PromptBatch.prompts`."""
    mask: Int[Tensor, "rows time"]
    """Attention mask; prompts are padded on the left."""
    hidden: Float[Tensor, "rows hidden"]
    """Last hidden state of each prompt."""
    cache: DynamicCache
    """Keys and values; read only."""


def _ignore(*_: Any) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Hooks:
    """Callbacks of an engine while it completes."""

    advance: Callable[[int], None] = _ignore
    """Called with the number of prompts that have just been finished."""
    tick: Callable[[], None] = _ignore
    """Called before every forward pass of engines with their own decoding loop; an exception stops the work."""
    on_prefill: Callable[[Prefill], None] | None = None
    """Called with every prefill; each prompt is in exactly one. Only for engines with `shares_prefill`."""


def batches(lengths: Sequence[int], rows_per_item: int, token_budget: int) -> list[list[int]]:
    """Indices in batches of similar length, longest first, with no more padded tokens than the budget.

    An item that alone exceeds the budget is a batch of one.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    result: list[list[int]] = []
    for index in order:
        if result and (len(result[-1]) + 1) * rows_per_item * lengths[result[-1][0]] <= token_budget:
            result[-1].append(index)
        else:
            result.append([index])
    return result


def cache_shape(lengths: Sequence[int], decoding: Decoding, token_budget: int) -> tuple[int, int]:
    """The number of rows that are completed at a time and the columns of their cache, for prompts of these lengths."""
    repeats = decoding.repeats
    slots, columns = len(lengths) * repeats, max(lengths, default=0) + decoding.max_new_tokens
    if slots * columns > token_budget:
        columns += columns // 8  # spare columns, so that the cache is seldom compacted
        slots = max(1, token_budget // columns // repeats) * repeats
    return slots, columns
