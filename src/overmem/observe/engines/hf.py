"""Completions by the Hugging Face model that also scores: continuous batching, with independent randomness per row.

The decoding loop offers what neither `generate` nor `generate_batch` does: every draw depends on (seed, split, example,
draw) and not on the other rows; the greedy completion and all draws of a prompt share one prefill; a finished row is
removed at once and the next prompt takes its slot; no step copies the keys and values of earlier steps
(`overmem.observe.engines.kv_cache`). docs/results/audit_speed.md has measurements.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from overmem import seeds
from overmem.models.device import tokens_at_once
from overmem.models.discovery import CheckpointRef
from overmem.models.head import base_of, head_of, logits_of
from overmem.models.loading import Model
from overmem.observe.engines.decoding import (
    Completion,
    Decoding,
    EngineSettings,
    Hooks,
    Prefill,
    PromptBatch,
    cache_shape,
)
from overmem.observe.engines.engine import Engine
from overmem.observe.engines.kv_cache import BatchKVCache, SlotKVCache, make_cache

_NO_HOOKS = Hooks()
_TAKES_CACHE_PARAMS = ("mamba", "mamba2", "falcon_mamba")


class HuggingFace(Engine):
    """Completes with the model that scores the solutions: any decoder of transformers, without a copy of the weights.

    Source: this package; continuous batching as in Orca (Yu et al. 2022,
    https://www.usenix.org/conference/osdi22/presentation/yu).
    """

    shares_prefill: ClassVar[bool] = True
    has_throughput: ClassVar[bool] = True

    def __init__(self, settings: EngineSettings, model: Model = None) -> None:
        super().__init__(settings)
        self.model = model

    def open(self, checkpoint: CheckpointRef, model: Model) -> None:
        """Use this model from now on."""
        self.model = model

    def complete(self, batch: PromptBatch, hooks: Hooks = _NO_HOOKS) -> Iterator[Completion]:
        """The greedy completion and the draws of every prompt, in no particular order."""
        yield from completions(self.model, batch, token_budget=self.settings.token_budget, hooks=hooks)

    def close(self) -> None:
        """Release the model."""
        self.model = None


def completions(
    model: Model, batch: PromptBatch, *, token_budget: int, hooks: Hooks = _NO_HOOKS
) -> Iterator[Completion]:
    """The greedy completion and the draws of every prompt, in no particular order.

    Args:
        model: any causal language model with a key-value cache, in evaluation mode; one of transformers if there is an
            `on_prefill` hook.
        batch: the prompts.
        token_budget: most tokens in the cache (prompt and completion, all rows).
        hooks: callbacks.
    """
    prompts, decoding = batch.prompts, batch.decoding
    repeats = decoding.repeats
    order = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i))
    slots, columns = cache_shape([len(p) for p in prompts], decoding, token_budget)
    cache = make_cache(model.config, slots, columns)
    state = _GenerationState(model, decoding, frozenset(batch.stop_ids), slots, cache, hooks.on_prefill)
    state.waiting.extend(_Prompt(i, batch.names[i], prompts[i]) for i in order)
    unfinished = dict.fromkeys(order, repeats)
    while state.waiting or state.rows:
        hooks.tick()
        finished = _step(state)
        for row in finished:
            ids = row.token_ids
            stop = "eos" if ids[-1] in state.stops else "length"
            unfinished[row.prompt.index] -= 1
            yield Completion(row.prompt.index, row.draw, tuple(ids[: len(ids) - (stop == "eos")]), row.logprob, stop)
        if done := {row.prompt.index for row in finished if not unfinished[row.prompt.index]}:
            hooks.advance(len(done))


@dataclass(frozen=True)
class _Prompt:
    """One prompt of the batch."""

    index: int
    name: str
    ids: Sequence[int]


@dataclass
class _Row:
    """One completion in progress."""

    prompt: _Prompt
    draw: int
    uniforms: Float[np.ndarray, " time"]
    """Random numbers for sampling each token; empty for the greedy completion."""
    token_ids: list[int] = field(default_factory=list)
    """Includes the end-of-sequence token."""
    logprob: float = 0.0

    @property
    def cached(self) -> int:
        """Tokens whose keys and values are in the cache: all but the last one."""
        return len(self.prompt.ids) + len(self.token_ids) - 1


@dataclass
class _GenerationState:
    """The rows in progress, in the order of the cache, and the prompts that wait for a slot."""

    model: Model
    decoding: Decoding
    stops: frozenset[int]
    slots: int
    cache: SlotKVCache | BatchKVCache
    on_prefill: Callable[[Prefill], None] | None
    waiting: deque[_Prompt] = field(default_factory=deque)
    rows: list[_Row] = field(default_factory=list)


@torch.inference_mode()
def _step(state: _GenerationState) -> list[_Row]:
    """One forward pass, over newly admitted prompts or over every row's last token. Returns the finished rows."""
    admitted = _admit_prompts(state)
    if admitted:
        logits = _prefill(state, admitted)
        rows = [_new_row(state.decoding, prompt, draw) for prompt in admitted for draw in range(state.decoding.repeats)]
        state.rows += rows
    else:
        logits, rows = _next_logits(state), state.rows
    _append_tokens(rows, logits, state.decoding)
    limit = state.decoding.max_new_tokens
    is_done = [row.token_ids[-1] in state.stops or len(row.token_ids) == limit for row in state.rows]
    unfinished = [i for i, done in enumerate(is_done) if not done]
    longest = max((state.rows[i].cached for i in unfinished), default=0)
    finished = [row for row, done in zip(state.rows, is_done, strict=True) if done]
    state.rows = [state.rows[i] for i in state.cache.keep(unfinished, longest)]
    return finished


def _admit_prompts(state: _GenerationState) -> list[_Prompt]:
    """The prompts that take free slots now; none until an eighth of the slots is free, to amortize a prefill."""
    repeats = state.decoding.repeats
    free = state.slots - len(state.rows)
    if not state.waiting or (state.rows and (not state.cache.refills or free * 8 < state.slots)):
        return []
    count = min(free // repeats, len(state.waiting))
    if state.cache.refills:
        count = min(count, max(1, tokens_at_once(state.model, 2**62) // len(state.waiting[0].ids)))
    return [state.waiting.popleft() for _ in range(count)]


def _new_row(decoding: Decoding, prompt: _Prompt, draw: int) -> _Row:
    uniforms = seeds.generator(decoding.seed, "draw", prompt.name, draw).random(decoding.max_new_tokens * (draw > 0))
    return _Row(prompt, draw, uniforms)


def _prefill(state: _GenerationState, admitted: Sequence[_Prompt]) -> Float[Tensor, "rows vocab"]:
    """The logits after each prompt, repeated for each of its rows; their keys and values are appended to the cache."""
    device, repeats = state.model.device, state.decoding.repeats
    width = max(len(p.ids) for p in admitted)
    ids = torch.tensor([[0] * (width - len(p.ids)) + list(p.ids) for p in admitted], device=device)  # [prompts width]
    mask = torch.tensor([[0] * (width - len(p.ids)) + [1] * len(p.ids) for p in admitted], device=device)
    cache = DynamicCache(config=state.model.config)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    if state.on_prefill is None:
        logits = _last_logits(state.model, ids, mask, positions, cache)
    else:
        inner: Any = base_of(state.model)
        inputs = {"attention_mask": mask, "position_ids": positions, "past_key_values": cache, "use_cache": True}
        hidden = inner.base_model(input_ids=ids, **inputs).last_hidden_state[:, -1]  # [prompts hidden]
        state.on_prefill(Prefill(tuple(p.index for p in admitted), mask, hidden, cache))
        logits = logits_of(head_of(inner), hidden).float()
    state.cache.join(cache, len(admitted), width, repeats)
    return logits.repeat_interleave(repeats, 0)  # [prompts vocab] -> [prompts*repeats vocab]


def _next_logits(state: _GenerationState) -> Float[Tensor, "rows vocab"]:
    """The logits after each row's last token."""
    device = state.model.device
    ids = torch.tensor([[row.token_ids[-1]] for row in state.rows], device=device)  # [rows 1]
    positions = torch.tensor([[row.cached] for row in state.rows], device=device)
    width = state.cache.width + 1
    mask = (torch.arange(width, device=device) >= width - 1 - positions).long()  # [rows width]
    logits = _last_logits(state.model, ids, mask, positions, state.cache)
    state.cache.advance()
    return logits


def _last_logits(
    model: Model, ids: Int[Tensor, "rows time"], mask: Tensor, positions: Tensor, cache: Any
) -> Float[Tensor, "rows vocab"]:
    name = _cache_argument(model)
    if name == "cache_params":
        mask = mask[:, -ids.shape[1] :]  # [rows width] -> [rows time]: a recurrent state has no columns to mask
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        use_cache=True,
        logits_to_keep=1,
        **{name: cache},
    )
    logits: Tensor = out.logits[:, -1].float()
    return logits


def _cache_argument(model: Model) -> str:
    """The name of the forward call's cache argument: Mamba models ignore `past_key_values`."""
    return "cache_params" if model.config.model_type in _TAKES_CACHE_PARAMS else "past_key_values"


def _append_tokens(rows: Sequence[_Row], logits: Float[Tensor, "rows vocab"], decoding: Decoding) -> None:
    """Append every row's next token: the argmax, or for a draw the token sampled with the row's random number."""
    token = logits.argmax(-1)
    if sampled := [i for i, row in enumerate(rows) if row.draw]:
        uniforms = [rows[i].uniforms[len(rows[i].token_ids)] for i in sampled]
        temperatures = [[decoding.temperature_of(rows[i].draw)] for i in sampled]
        where = torch.tensor(sampled, device=logits.device)
        uniform, temperature = (
            torch.tensor(v, dtype=torch.float32, device=logits.device) for v in (uniforms, temperatures)
        )
        token[where] = _sample(logits[where] / temperature, uniform)
    logprob = logits.gather(1, token[:, None])[:, 0] - logits.logsumexp(-1)
    for row, identity, value in zip(rows, token.tolist(), logprob.tolist(), strict=True):
        row.token_ids.append(identity)
        row.logprob += value


def _sample(logits: Float[Tensor, "rows vocab"], uniform: Float[Tensor, " rows"]) -> Int[Tensor, " rows"]:
    """The token at which the cumulative probability passes `uniform`: inverse transform sampling."""
    cumulative = logits.softmax(-1).cumsum(-1)
    target = uniform[:, None] * cumulative[:, -1:]  # the sum is 1 only up to rounding
    return torch.searchsorted(cumulative, target, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
