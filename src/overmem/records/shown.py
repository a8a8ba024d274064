"""One example as a model reads it, for a reader who has no tokenizer."""

from dataclasses import dataclass

from overmem.records.observations import SCHEMA


@dataclass(frozen=True)
class ShownExample:
    """The first example of a split, token by token, and where its split comes from."""

    split: str
    example_id: str
    prompt: tuple[str, ...]
    """Texts of the tokens that are read and not scored; the last ones where there are many."""
    scored: tuple[str, ...]
    """Texts of the tokens of the solution, the end token among them; the first ones where there are many."""
    rows: int
    """Examples that the split has in all."""
    by_recipe: bool = False
    """Whether the split is the one that the run's own recipe evaluates on."""
    cut: bool = False
    """Whether tokens of the prompt or of the solution were left out."""
    schema: int = SCHEMA
