"""Scores and completions of a split from one prefill.

Solutions are scored by continuing from the keys and values of their prompts, a few rows of similar length at a time,
before these are copied to the cache of the completions.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from overmem.encoding import Encoded
from overmem.models.device import tokens_at_once
from overmem.models.head import base_of, has_plain_head
from overmem.models.loading import Model
from overmem.observe.completions import complete
from overmem.observe.engines import Engine
from overmem.observe.engines.decoding import Decoding, Hooks, Prefill, batches
from overmem.observe.engines.kv_cache import keeps_all
from overmem.observe.plan import Split
from overmem.observe.score import ScoreAccumulator, Statistics, solution_positions, statistics
from overmem.records import Completions, Scores

_LARGEST_PASS = 4096
"""Most padded solution tokens in one pass, so that rows have similar lengths."""


def supports_shared_prefill(engine: Engine, model: Model) -> bool:
    """Whether the engine shares its prefill, every layer keeps all tokens, and the output layer is a plain product."""
    return engine.shares_prefill and keeps_all(model.config) and has_plain_head(model)


def score_and_sample(
    engine: Engine,
    model: Model,
    tokenizer: Any,
    split: Split,
    decoding: Decoding,
    token_budget: int,
    hooks: Hooks | None = None,
) -> tuple[Scores, Completions]:
    """The results of `scores` and `complete` for a split, up to rounding. Requires `supports_shared_prefill`.

    Args:
        engine: an engine that is open on the checkpoint.
        model: the Hugging Face model of the checkpoint.
        tokenizer: turns token ids into text.
        split: prompts and solutions.
        decoding: how many completions, and how they are sampled.
        token_budget: most padded tokens in one forward pass.
        hooks: callbacks.
    """
    accumulator = ScoreAccumulator(split.encoded)
    most = min(tokens_at_once(model, token_budget), _LARGEST_PASS)
    hooks = hooks or Hooks()

    def score(prefill: Prefill) -> None:
        encoded = [split.encoded[i] for i in prefill.prompts]
        for rows in batches([len(e.solution_ids) for e in encoded], 1, most):
            accumulator.put(
                [prefill.prompts[row] for row in rows],
                _continue_from_cache(model, [encoded[row] for row in rows], prefill, rows),
            )

    completions = complete(engine, model, tokenizer, split, decoding, Hooks(hooks.advance, hooks.tick, score))
    return accumulator.scores(split.truncated), completions


def _continue_from_cache(model: Model, encoded: Sequence[Encoded], prefill: Prefill, rows: Sequence[int]) -> Statistics:
    """Statistics of the solutions of some rows: the prefill predicts the first token, one more pass the others."""
    inner: Any = base_of(model)
    device = prefill.hidden.device
    index = torch.tensor(rows, device=device)
    lengths = [len(e.solution_ids) for e in encoded]
    counts = torch.tensor(lengths, device=device)
    hidden = prefill.hidden[index][:, None]  # [rows hidden] -> [rows 1 hidden]
    if (width := max(lengths) - 1) > 0:
        ids = [[*e.solution_ids[:-1], *[0] * (1 + width - len(e.solution_ids))] for e in encoded]
        steps = torch.arange(width, device=device)[None]
        prompt_mask = prefill.mask[index]
        cache = DynamicCache(config=model.config)
        layer: Any  # it holds keys and values: `supports_shared_prefill`
        for number, layer in enumerate(prefill.cache.layers):
            cache.update(layer.keys[index], layer.values[index], number)
        states = inner.base_model(
            input_ids=torch.tensor(ids, device=device),
            attention_mask=torch.cat([prompt_mask, (steps < counts[:, None] - 1).to(prompt_mask)], 1),
            position_ids=prompt_mask.sum(1, keepdim=True) + steps,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        hidden = torch.cat([hidden, states], 1)  # [rows 1+width hidden]
    row, column = solution_positions(lengths, [0] * len(lengths), device)
    labels = torch.tensor([t for e in encoded for t in e.solution_ids], device=device)
    return statistics(inner, hidden[row, column], labels)  # [rows time hidden] -> [tokens hidden]
