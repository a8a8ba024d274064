"""Scores and completions of a split in one go: a prompt is read once for both.

The solutions are scored by going on from the keys and values that the prompts left behind, a few rows of like length
at a time, before those go to where the completions grow.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from overmem.encoding import Encoded
from overmem.models.device import tokens_at_once
from overmem.models.head import base_of
from overmem.models.loading import Model
from overmem.observe.completions import samples
from overmem.observe.engines.hf import Decoding, Prefilled, batches
from overmem.observe.engines.kv_cache import keeps_all
from overmem.observe.plan import Split
from overmem.observe.score import ScoreAccumulator, Statistics, statistics
from overmem.records import Samples, Scores

_AT_ONCE = 4096
"""Padded solution tokens in one pass, at most: more would put rows of unlike length together."""


def supports_shared_prefill(model: Model) -> bool:
    """Whether a prompt that was read can be gone on with twice."""
    return keeps_all(model.config)


def score_and_sample(
    model: Any,
    tokenizer: Any,
    split: Split,
    decoding: Decoding,
    token_budget: int,
    advance: Callable[[int], None] = lambda examples: None,
) -> tuple[Scores, Samples]:
    """What `scores` and `samples` make of a split, up to rounding, for a model that `can_share`."""
    table = ScoreAccumulator(split.encoded)
    most = min(tokens_at_once(model, token_budget), _AT_ONCE)

    def read(prefilled: Prefilled) -> None:
        some = [split.encoded[i] for i in prefilled.prompts]
        for rows in batches([len(e.solution_ids) for e in some], 1, most):
            table.put(
                [prefilled.prompts[row] for row in rows],
                _continue_from_cache(model, [some[r] for r in rows], prefilled, rows),
            )

    drawn = samples(model, tokenizer, split, decoding, token_budget, advance, read=read)
    return table.scores(split.truncated), drawn


def _continue_from_cache(
    model: Any, encoded: Sequence[Encoded], prefilled: Prefilled, rows: Sequence[int]
) -> Statistics:
    """Statistics of the solutions of some rows: their first token follows the prompt, the others are read."""
    inner: Any = base_of(model)
    device = prefilled.hidden.device
    at = torch.tensor(rows, device=device)
    counts = torch.tensor([len(e.solution_ids) for e in encoded], device=device)
    hidden = prefilled.hidden[at][:, None]
    if (width := int(counts.max()) - 1) > 0:
        ids = [[*e.solution_ids[:-1], *[0] * (1 + width - len(e.solution_ids))] for e in encoded]
        steps = torch.arange(width, device=device)[None]
        before = prefilled.mask[at]
        known = DynamicCache(config=model.config)
        old: Any  # its layers hold keys and values: `can_share`
        for layer, old in enumerate(prefilled.cache.layers):
            known.update(old.keys[at], old.values[at], layer)
        state = inner.base_model(
            input_ids=torch.tensor(ids, device=device),
            attention_mask=torch.cat([before, (steps < counts[:, None] - 1).to(before)], 1),
            position_ids=before.sum(1, keepdim=True) + steps,
            past_key_values=known,
            use_cache=True,
        ).last_hidden_state
        hidden = torch.cat([hidden, state], 1)
    predicts = torch.arange(width + 1, device=device)[None] < counts[:, None]
    labels = torch.tensor([t for e in encoded for t in e.solution_ids], device=device)
    return statistics(inner, hidden[predicts], labels)
