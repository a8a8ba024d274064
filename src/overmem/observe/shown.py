"""One example as the model reads it, token by token, to check the template and which tokens are scored."""

from typing import Any

from overmem.observe.plan import Split
from overmem.observe.token_texts import token_texts
from overmem.records.shown import ShownExample

MAX_TOKENS = 40
"""Number of tokens of the prompt and of the solution that are shown at most."""


def shown_example(tokenizer: Any, split: Split, *, rows: int, by_recipe: bool) -> ShownExample | None:
    """The first example of a split; None if it has none.

    Args:
        tokenizer: the model's tokenizer.
        split: the split to observe.
        rows: number of all examples of the split, observed or not.
        by_recipe: whether the run's recipe evaluates on the split.
    """
    if not split.encoded:
        return None
    first = split.encoded[0]
    prompt, scored = first.prompt_ids[-MAX_TOKENS:], first.solution_ids[:MAX_TOKENS]
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
