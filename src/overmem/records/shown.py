"""One example as the model reads it, token by token, saved for display."""

from dataclasses import dataclass

from overmem.records.observations import SCHEMA


@dataclass(frozen=True)
class ShownExample:
    """The first example of a split, token by token, and where its split comes from."""

    split: str
    example_id: str
    prompt: tuple[str, ...]
    """Texts of the prompt's tokens, which are not scored; only the last ones if there are many."""
    scored: tuple[str, ...]
    """Texts of the solution's tokens, including the end token; only the first ones if there are many."""
    rows: int
    """Number of examples in the split."""
    by_recipe: bool = False
    """Whether the split is the one that the run's recipe evaluates on."""
    cut: bool = False
    """Whether tokens of the prompt or of the solution were left out."""
    schema: int = SCHEMA
