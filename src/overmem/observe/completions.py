"""Completions of a split, their answers read and compared with the reference's."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from overmem.encoding import completion_text, end_ids
from overmem.grading import answers
from overmem.observe.engines.hf import Completion, Decoding, Prefilled, completions
from overmem.observe.plan import Split, context_of
from overmem.records import Samples


def samples(
    model: Any,
    tokenizer: Any,
    split: Split,
    decoding: Decoding,
    token_budget: int,
    advance: Callable[[int], None] = lambda examples: None,
    tick: Callable[[], None] = lambda: None,
    read: Callable[[Prefilled], None] | None = None,
) -> Samples:
    """Completions of one split, read and graded, in the order of its examples and draws.

    `advance`, `tick` and `read` are those of `completions`.
    """
    drawn = completions(
        model,
        [e.prompt_ids for e in split.encoded],
        names_of(split),
        clamp_to_context(model, split, decoding),
        stop_ids=stop_ids(model, tokenizer),
        token_budget=token_budget,
        advance=advance,
        tick=tick,
        read=read,
    )
    return graded(drawn, tokenizer, split, decoding)


def graded(drawn: Iterable[Completion], tokenizer: Any, split: Split, decoding: Decoding) -> Samples:
    """Completions of one split as they are recorded, in the order of its examples and draws."""
    ordered = sorted(drawn, key=lambda c: (c.prompt, c.draw))
    golds = {e.id: e for e in split.examples}
    texts = [completion_text(tokenizer, c.token_ids) for c in ordered]
    ids = [split.encoded[c.prompt].example_id for c in ordered]
    read = [answers.answer_in(text, golds[i].kind) for text, i in zip(texts, ids, strict=True)]
    return Samples(
        tuple(ids),
        np.array([c.draw for c in ordered], dtype=np.int32),
        np.array([decoding.temperature_of(c.draw) for c in ordered], dtype=np.float32),
        tuple(texts),
        np.array([len(c.token_ids) for c in ordered], dtype=np.int32),
        np.array([c.logprob for c in ordered], dtype=np.float32),
        tuple(c.stop for c in ordered),
        tuple(read),
        np.array(
            [answers.is_correct(a, golds[i].answer, golds[i].kind) for a, i in zip(read, ids, strict=True)], dtype=bool
        ),
    )


def names_of(split: Split) -> list[str]:
    """What names each prompt, whatever else is completed beside it: its split and its example."""
    return [f"{split.name} {e.example_id}" for e in split.encoded]


def clamp_to_context(model: Any, split: Split, decoding: Decoding) -> Decoding:
    """`decoding` with completions no longer than the context has room for after the split's longest prompt."""
    longest = max((len(e.prompt_ids) for e in split.encoded), default=0)
    return replace(decoding, max_new_tokens=max(1, min(decoding.max_new_tokens, context_of(model.config) - longest)))


def stop_ids(model: Any, tokenizer: Any) -> list[int]:
    """Tokens that end a completion: the tokenizer's, its chat template's and those of the model's generation config."""
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    return sorted({i for i in listed if i is not None} | end_ids(tokenizer))
