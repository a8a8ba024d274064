"""One example as the model reads it, token by token: which of them are scored."""

from typing import Any

from overmem.observe.plan import Split
from overmem.observe.token_texts import token_texts
from overmem.records.shown import ShownExample

MOST = 40
"""Tokens of the prompt, and of the solution, that are kept."""


def shown_example(tokenizer: Any, split: Split, *, rows: int, by_recipe: bool) -> ShownExample | None:
    """The first example of a split; None where it has none.

    Args:
        tokenizer: of the model.
        split: what is observed.
        rows: examples that the split has in all.
        by_recipe: whether the run's own recipe evaluates on it.
    """
    if not split.encoded:
        return None
    first = split.encoded[0]
    prompt, scored = first.prompt_ids[-MOST:], first.solution_ids[:MOST]
    texts = token_texts(tokenizer, [*prompt, *scored])
    return ShownExample(
        split.name,
        first.example_id,
        tuple(texts[token] for token in prompt),
        tuple(texts[token] for token in scored),
        rows,
        by_recipe,
        len(prompt) < len(first.prompt_ids) or len(scored) < len(first.solution_ids),
    )
