"""A label or frame around the question."""

import random
from dataclasses import replace

from overmem.assets import read_asset
from overmem.records import Example

TEMPLATES: tuple[str, ...] = read_asset("shifts/template.json", tuple[str, ...])
"""Layouts that say nothing about how to answer."""


def template(example: Example, random: random.Random) -> Example:
    """Another prompt template inside the checkpoint's own: a label or frame around the question. Keeps the answer."""
    return replace(example, question=random.choice(TEMPLATES).replace("{question}", example.question))
