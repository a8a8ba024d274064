"""Completions of a split as text."""

from dataclasses import replace
from typing import Any

import numpy as np

from overmem.encoding import completion_text, end_ids
from overmem.models.loading import Model
from overmem.observe.engines import Engine
from overmem.observe.engines.decoding import Decoding, Hooks, PromptBatch
from overmem.observe.plan import Split, context_of
from overmem.records import Completions


def complete(
    engine: Engine, model: Model, tokenizer: Any, split: Split, decoding: Decoding, hooks: Hooks | None = None
) -> Completions:
    """Completions of one split, not yet graded, in the order of its examples and draws.

    Args:
        engine: an engine that is open on the checkpoint.
        model: the Hugging Face model of the checkpoint; its configuration limits the length of a completion.
        tokenizer: turns token ids into text.
        split: the prompts.
        decoding: how many completions, and how they are sampled.
        hooks: callbacks.
    """
    batch = PromptBatch(
        [e.prompt_ids for e in split.encoded],
        [f"{split.name} {e.example_id}" for e in split.encoded],
        clamp_to_context(model, split, decoding),
        stop_ids(model, tokenizer),
    )
    ordered = sorted(engine.complete(batch, hooks or Hooks()), key=lambda c: (c.prompt, c.draw))
    return Completions(
        tuple(split.encoded[c.prompt].example_id for c in ordered),
        np.array([c.draw for c in ordered], dtype=np.int32),
        np.array([decoding.temperature_of(c.draw) for c in ordered], dtype=np.float32),
        tuple(completion_text(tokenizer, c.token_ids) for c in ordered),
        np.array([len(c.token_ids) for c in ordered], dtype=np.int32),
        np.array([c.logprob for c in ordered], dtype=np.float32),
        tuple(c.stop for c in ordered),
    )


def clamp_to_context(model: Model, split: Split, decoding: Decoding) -> Decoding:
    """`decoding` with completions limited to the context that the split's longest prompt leaves."""
    longest = max((len(e.prompt_ids) for e in split.encoded), default=0)
    return replace(decoding, max_new_tokens=max(1, min(decoding.max_new_tokens, context_of(model.config) - longest)))


def stop_ids(model: Model, tokenizer: Any) -> list[int]:
    """Tokens that end a completion: the tokenizer's, its chat template's and those of the model's generation config."""
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    return sorted({i for i in listed if i is not None} | end_ids(tokenizer))
