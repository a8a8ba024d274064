"""A label or frame around the question."""

import random
from dataclasses import replace

from overmem.assets import read_asset
from overmem.records import Example

TEMPLATES: tuple[str, ...] = read_asset("shifts/template.json", tuple[str, ...])
"""Templates without advice on how to answer."""


def template(example: Example, random: random.Random) -> Example:
    """A label or frame around the question, within the checkpoint's own prompt template. Keeps the answer."""
    return replace(example, question=random.choice(TEMPLATES).replace("{question}", example.question))
