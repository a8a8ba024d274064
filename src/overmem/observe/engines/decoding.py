"""What an engine is given and what it returns: settings, prompts, and completions as token ids."""

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
    """Temperatures of the draws: 1 to `draws` at the first, as many more at the second, ..."""
    max_new_tokens: int = 256
    """Tokens after which a completion is truncated (and counted as such)."""
    seed: int = 0
    """First part of every draw's own seed."""
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
    """What an engine needs to know before it sees the first checkpoint."""

    base: str | None = None
    """Folder or hub id of the base model; None where it is not known."""
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
    """Prompts to complete in one call: all those of a split."""

    prompts: Sequence[Sequence[int]]
    """Token ids of each."""
    names: Sequence[str]
    """What identifies each prompt (split and example id); with `decoding.seed` it fixes the draws."""
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
    """Summed log probability at temperature 1, the end-of-sequence token included."""
    stop: str
    """`eos` or `length`."""


@dataclass(frozen=True)
class Prefill:
    """The forward pass over several prompts, for a caller that has a second use for it."""

    prompts: tuple[int, ...]
    """Indices into `PromptBatch.prompts`."""
    mask: Int[Tensor, "rows time"]
    """1 where a prompt has a token: prompts are padded on the left."""
    hidden: Float[Tensor, "rows hidden"]
    """The last hidden state of each."""
    cache: DynamicCache
    """Keys and values; read only."""


def _ignore(*_: Any) -> None:
    """Nothing."""


@dataclass(frozen=True)
class Hooks:
    """What to call while an engine completes."""

    advance: Callable[[int], None] = _ignore
    """With the number of prompts that are finished, whenever some are."""
    tick: Callable[[], None] = _ignore
    """Before every forward pass, where the engine makes them itself; what it raises stops the work."""
    on_prefill: Callable[[Prefill], None] | None = None
    """With every prefill, each prompt once. Only engines that `share_prefill` are given one."""


def batches(lengths: Sequence[int], rows_per_item: int, token_budget: int) -> list[list[int]]:
    """Indices in batches of similar length, longest first, so that padded tokens never exceed the budget.

    An item that exceeds the budget alone is a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    grouped: list[list[int]] = []
    for index in order:
        if grouped and (len(grouped[-1]) + 1) * rows_per_item * lengths[grouped[-1][0]] <= token_budget:
            grouped[-1].append(index)
        else:
            grouped.append([index])
    return grouped


def cache_shape(lengths: Sequence[int], decoding: Decoding, token_budget: int) -> tuple[int, int]:
    """Rows that are completed at once and the columns of their cache, for prompts of these lengths."""
    repeats = decoding.repeats
    slots, columns = len(lengths) * repeats, max(lengths, default=0) + decoding.max_new_tokens
    if slots * columns > token_budget:
        columns += columns // 8  # spare columns, so that the cache is seldom compacted
        slots = max(1, token_budget // columns // repeats) * repeats
    return slots, columns
