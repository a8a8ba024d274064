"""Completions: greedy and sampled, many rows at a time, each row's randomness its own.

A decoding loop of our own over the model's forward pass and key-value cache, for three things that `generate` does
not give: every draw depends on (seed, split, example, draw) and not on its neighbours in the batch; finished rows
leave the batch; the greedy completion and all draws of a prompt share one prefill.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache

from overmem import seeds
from overmem.checkpoints import Model


@dataclass(frozen=True)
class Decoding:
    """How completions are drawn."""

    draws: int = 0
    """Sampled completions per prompt, beside the greedy one."""
    temperature: float = 0.7
    """Temperature of the draws."""
    max_new_tokens: int = 256
    """Tokens after which a completion is cut (and counted as such)."""
    seed: int = 0
    """First part of every draw's own seed."""


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
) -> Iterator[Completion]:
    """The greedy completion and the draws of every prompt, in no particular order.

    Args:
        model: any causal language model with a key-value cache, in evaluation mode.
        prompts: token ids.
        names: what identifies each prompt (split and example id); with `decoding.seed` it fixes the draws.
        decoding: number and temperature of the draws.
        stop_ids: tokens that end a completion.
        token_budget: most tokens held in the cache at once (prompt and completion, all rows).
        advance: called with the number of prompts done after each batch.
        tick: called before every forward pass; what it raises ends the work there.
    """
    rows = 1 + decoding.draws
    lengths = [len(p) + decoding.max_new_tokens for p in prompts]
    for batch in batches(lengths, rows, token_budget):
        uniforms = np.stack(
            [
                seeds.generator(decoding.seed, "draw", names[i], draw).random(decoding.max_new_tokens)
                for i in batch
                for draw in range(rows)
            ]
        )
        chunk = [prompts[i] for i in batch]
        decoded = _decode(model, chunk, decoding, uniforms, frozenset(stop_ids), tick)
        for row, (ids, logprob, stop) in enumerate(decoded):
            yield Completion(batch[row // rows], row % rows, tuple(ids), logprob, stop)
        advance(len(batch))


@torch.inference_mode()
def _decode(
    model: Model,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    uniforms: Float[np.ndarray, "rows time"],
    stop_ids: frozenset[int],
    tick: Callable[[], None],
) -> list[tuple[list[int], float, str]]:
    device = model.device
    repeats = 1 + decoding.draws
    longest = max(map(len, prompts))
    padded = torch.tensor([[0] * (longest - len(p)) + list(p) for p in prompts], device=device)
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)
    tick()
    logits = _step(model, padded, mask, positions, cache)
    if repeats > 1:
        cache.batch_repeat_interleave(repeats)
        logits, mask, positions = (t.repeat_interleave(repeats, 0) for t in (logits, mask, positions))
    position = positions[:, -1:]
    draws = torch.tensor(uniforms, dtype=torch.float32, device=device)
    is_sampled = torch.arange(len(draws), device=device) % repeats > 0
    stops = torch.tensor(sorted(stop_ids), device=device)
    slots = list(range(len(draws)))
    ended = torch.zeros(len(draws), dtype=torch.bool, device=device)
    results: list[tuple[list[int], float, str]] = [([], 0.0, "length") for _ in slots]
    for time in range(decoding.max_new_tokens):
        logprobs = logits.log_softmax(-1)
        token = logprobs.argmax(-1)
        if is_sampled.any():
            token = torch.where(is_sampled, _drawn(logits, decoding.temperature, draws[:, time]), token)
        chosen = logprobs.gather(1, token[:, None])[:, 0].tolist()
        stopped = torch.isin(token, stops)
        for slot, identity, logprob, before, now in zip(
            slots, token.tolist(), chosen, ended.tolist(), stopped.tolist(), strict=True
        ):
            if before:
                continue
            ids, total, _ = results[slot]
            if not now:
                ids.append(identity)
            results[slot] = (ids, total + logprob, "eos" if now else "length")
        ended = ended | stopped
        count = int(ended.sum())
        if count == len(slots) or time + 1 == decoding.max_new_tokens:
            break
        if count * 8 >= len(slots):
            alive = (~ended).nonzero()[:, 0]
            cache.batch_select_indices(alive)
            token, mask, position, draws = token[alive], mask[alive], position[alive], draws[alive]
            is_sampled, ended = is_sampled[alive], ended[alive]
            slots = [slots[i] for i in alive.tolist()]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
        position = position + 1
        tick()
        logits = _step(model, token[:, None], mask, position, cache)
    return results


def _step(model: Model, ids: Tensor, mask: Tensor, positions: Tensor, cache: DynamicCache) -> Tensor:
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


def _drawn(logits: Tensor, temperature: float, uniform: Tensor) -> Tensor:
    """The token at which the cumulated probability passes `uniform` [rows]."""
    cumulated = (logits / temperature).softmax(-1).cumsum(-1)
    target = uniform[:, None] * cumulated[:, -1:]
    return torch.searchsorted(cumulated, target, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
