"""Completions: greedy and sampled, many rows at a time, each row's randomness its own.

A decoding loop of our own over the model's forward pass, for what neither `generate` nor `generate_batch` gives: every
draw depends on (seed, split, example, draw) and not on its neighbours; the greedy completion and all draws of a prompt
share one prefill; a row that has ended leaves at once, and the next prompt takes its place; no step copies the keys and
values of those before it (`overmem.observe.engines.kv_cache`). docs/results/audit_speed.md has how fast it is.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from overmem import seeds
from overmem.models.device import tokens_at_once
from overmem.models.head import base_of, head_of, logits_of
from overmem.models.loading import Model
from overmem.observe.engines.kv_cache import BatchKVCache, SlotKVCache, make_cache


@dataclass(frozen=True)
class Decoding:
    """How completions are drawn."""

    draws: int = 0
    """Sampled completions per prompt at each temperature, beside the greedy one."""
    temperatures: tuple[float, ...] = (0.7,)
    """Temperatures of the draws: 1 to `draws` at the first, as many more at the second, ..."""
    max_new_tokens: int = 256
    """Tokens after which a completion is cut (and counted as such)."""
    seed: int = 0
    """First part of every draw's own seed."""
    engine: str = "hf"
    """Who completes: `hf`, this module, or `vllm`."""

    @property
    def repeats(self) -> int:
        """Completions per prompt: the greedy one and all draws."""
        return 1 + self.draws * len(self.temperatures)

    def temperature_of(self, draw: int) -> float:
        """That of one completion; 0 for the greedy one."""
        return self.temperatures[(draw - 1) // self.draws] if draw else 0.0


@dataclass(frozen=True)
class Completion:
    """One generated row."""

    prompt: int
    """Index into the prompts given."""
    draw: int
    """0 is greedy."""
    token_ids: tuple[int, ...]
    """Without the end-of-sequence token."""
    logprob: float
    """Summed log probability at temperature 1, the end-of-sequence token included."""
    stop: str
    """`eos` or `length`."""


@dataclass(frozen=True)
class Prefilled:
    """What a model made of prompts that came in together."""

    prompts: tuple[int, ...]
    """Indices into the prompts given."""
    mask: Int[Tensor, "rows time"]
    """1 where a prompt has a token: prompts are padded on the left."""
    hidden: Float[Tensor, "rows hidden"]
    """The last hidden state of each."""
    cache: DynamicCache
    """Keys and values; to be read only."""


def batches(lengths: Sequence[int], rows_per_item: int, token_budget: int) -> list[list[int]]:
    """Indices in batches of like length, longest first, so that padded tokens never exceed the budget.

    One item is a batch even if it alone exceeds the budget.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    found: list[list[int]] = []
    for index in order:
        if found and (len(found[-1]) + 1) * rows_per_item * lengths[found[-1][0]] <= token_budget:
            found[-1].append(index)
        else:
            found.append([index])
    return found


def cache_shape(lengths: Sequence[int], decoding: Decoding, token_budget: int) -> tuple[int, int]:
    """Rows that are completed at once and the columns of their cache, for prompts of these lengths."""
    repeats = decoding.repeats
    slots, columns = len(lengths) * repeats, max(lengths, default=0) + decoding.max_new_tokens
    if slots * columns > token_budget:
        columns += columns // 8  # to spare, so that the cache is seldom moved back
        slots = max(1, token_budget // columns // repeats) * repeats
    return slots, columns


def completions(
    model: Model,
    prompts: Sequence[Sequence[int]],
    names: Sequence[str],
    decoding: Decoding,
    *,
    stop_ids: Sequence[int],
    token_budget: int,
    advance: Callable[[int], None] = lambda rows: None,
    tick: Callable[[], None] = lambda: None,
    read: Callable[[Prefilled], None] | None = None,
) -> Iterator[Completion]:
    """The greedy completion and the draws of every prompt, in no particular order.

    Args:
        model: any causal language model with a key-value cache, in evaluation mode.
        prompts: token ids.
        names: what identifies each prompt (split and example id); with `decoding.seed` it fixes the draws.
        decoding: number and temperatures of the draws.
        stop_ids: tokens that end a completion.
        token_budget: most tokens that the cache has room for (prompt and completion, all rows).
        advance: called with the number of prompts done whenever some are.
        tick: called before every forward pass; what it raises ends the work there.
        read: shown what was made of the prompts, each once, for whoever has another use for that. The model must be
            one of transformers then.
    """
    repeats = decoding.repeats
    order = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i))
    slots, columns = cache_shape([len(p) for p in prompts], decoding, token_budget)
    work = _GenerationState(model, decoding, frozenset(stop_ids), slots, make_cache(model.config, slots, columns), read)
    work.waiting.extend(_Prompt(i, names[i], prompts[i]) for i in order)
    left = dict.fromkeys(order, repeats)
    while work.waiting or work.rows:
        tick()
        ended = _step(work)
        for row in ended:
            ids = row.token_ids
            stop = "eos" if ids[-1] in work.stops else "length"
            left[row.prompt.index] -= 1
            yield Completion(row.prompt.index, row.draw, tuple(ids[: len(ids) - (stop == "eos")]), row.logprob, stop)
        if done := {row.prompt.index for row in ended if not left[row.prompt.index]}:
            advance(len(done))


@dataclass(frozen=True)
class _Prompt:
    """What is to be completed."""

    index: int
    name: str
    ids: Sequence[int]


@dataclass
class _Row:
    """One completion under way."""

    prompt: _Prompt
    draw: int
    uniforms: Float[np.ndarray, " time"]
    """What decides each of its tokens; empty for the greedy one."""
    token_ids: list[int] = field(default_factory=list)
    """With the token that ended it."""
    logprob: float = 0.0

    @property
    def cached(self) -> int:
        """Tokens whose keys and values are known: all but the last one."""
        return len(self.prompt.ids) + len(self.token_ids) - 1


@dataclass
class _GenerationState:
    """The rows under way, in the cache's order, and the prompts that wait for a place."""

    model: Model
    decoding: Decoding
    stops: frozenset[int]
    slots: int
    cache: SlotKVCache | BatchKVCache
    read: Callable[[Prefilled], None] | None
    waiting: deque[_Prompt] = field(default_factory=deque)
    rows: list[_Row] = field(default_factory=list)


@torch.inference_mode()
def _step(work: _GenerationState) -> list[_Row]:
    """One forward pass: of prompts that come in, or of every row's next token. Returns the rows that it ended."""
    coming = _admit_prompts(work)
    if coming:
        logits = _prefilled(work, coming)
        new = [_row(work.decoding, prompt, draw) for prompt in coming for draw in range(work.decoding.repeats)]
        work.rows += new
    else:
        logits, new = _next(work), work.rows
    _choose(new, logits, work.decoding)
    limit = work.decoding.max_new_tokens
    ended = [row.token_ids[-1] in work.stops or len(row.token_ids) == limit for row in work.rows]
    alive = [at for at, end in enumerate(ended) if not end]
    longest = max((work.rows[at].cached for at in alive), default=0)
    gone = [row for row, end in zip(work.rows, ended, strict=True) if end]
    work.rows = [work.rows[at] for at in work.cache.keep(alive, longest)]
    return gone


def _admit_prompts(work: _GenerationState) -> list[_Prompt]:
    """The prompts that take free places now: none before an eighth of all is free, so that a pass is worth its cost."""
    repeats = work.decoding.repeats
    free = work.slots - len(work.rows)
    if not work.waiting or (work.rows and (not work.cache.refills or free * 8 < work.slots)):
        return []
    count = min(free // repeats, len(work.waiting))
    if work.cache.refills:
        count = min(count, max(1, tokens_at_once(work.model, 2**62) // len(work.waiting[0].ids)))
    return [work.waiting.popleft() for _ in range(count)]


def _row(decoding: Decoding, prompt: _Prompt, draw: int) -> _Row:
    uniforms = seeds.generator(decoding.seed, "draw", prompt.name, draw).random(decoding.max_new_tokens * (draw > 0))
    return _Row(prompt, draw, uniforms)


def _prefilled(work: _GenerationState, coming: Sequence[_Prompt]) -> Float[Tensor, "rows vocab"]:
    """The logits after each prompt, once for each of its rows; the cache has them at its end."""
    device, repeats = work.model.device, work.decoding.repeats
    width = max(len(p.ids) for p in coming)
    ids = torch.tensor([[0] * (width - len(p.ids)) + list(p.ids) for p in coming], device=device)
    mask = torch.tensor([[0] * (width - len(p.ids)) + [1] * len(p.ids) for p in coming], device=device)
    cache = DynamicCache(config=work.model.config)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    if work.read is None:
        logits = _logits(work.model, ids, mask, positions, cache)
    else:
        inner: Any = base_of(work.model)
        passed = {"attention_mask": mask, "position_ids": positions, "past_key_values": cache, "use_cache": True}
        hidden = inner.base_model(input_ids=ids, **passed).last_hidden_state[:, -1]
        work.read(Prefilled(tuple(p.index for p in coming), mask, hidden, cache))
        logits = logits_of(head_of(inner), hidden).float()
    work.cache.join(cache, len(coming), width, repeats)
    return logits.repeat_interleave(repeats, 0)


def _next(work: _GenerationState) -> Float[Tensor, "rows vocab"]:
    """The logits after each row's last token."""
    device = work.model.device
    ids = torch.tensor([[row.token_ids[-1]] for row in work.rows], device=device)
    positions = torch.tensor([[row.cached] for row in work.rows], device=device)
    width = work.cache.width + 1
    mask = (torch.arange(width, device=device) >= width - 1 - positions).long()
    logits = _logits(work.model, ids, mask, positions, work.cache)
    work.cache.stepped()
    return logits


def _logits(
    model: Model, ids: Int[Tensor, "rows time"], mask: Tensor, positions: Tensor, cache: Any
) -> Float[Tensor, "rows vocab"]:
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    logits: Tensor = out.logits[:, -1].float()
    return logits


def _choose(rows: Sequence[_Row], logits: Float[Tensor, "rows vocab"], decoding: Decoding) -> None:
    """Give every row its next token: the likeliest, or for a draw the one that its own randomness picks."""
    token = logits.argmax(-1)
    if sampled := [at for at, row in enumerate(rows) if row.draw]:
        uniforms = [rows[at].uniforms[len(rows[at].token_ids)] for at in sampled]
        warmth = [[decoding.temperature_of(rows[at].draw)] for at in sampled]
        at = torch.tensor(sampled, device=logits.device)
        uniform, temperature = (torch.tensor(v, dtype=torch.float32, device=logits.device) for v in (uniforms, warmth))
        token[at] = _drawn(logits[at] / temperature, uniform)
    logprob = logits.gather(1, token[:, None])[:, 0] - logits.logsumexp(-1)
    for row, identity, value in zip(rows, token.tolist(), logprob.tolist(), strict=True):
        row.token_ids.append(identity)
        row.logprob += value


def _drawn(logits: Float[Tensor, "rows vocab"], uniform: Float[Tensor, " rows"]) -> Int[Tensor, " rows"]:
    """The token at which the cumulated probability passes `uniform`."""
    cumulated = logits.softmax(-1).cumsum(-1)
    target = uniform[:, None] * cumulated[:, -1:]
    return torch.searchsorted(cumulated, target, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
