"""A neutral sentence before the question."""

import random
from dataclasses import replace

from overmem.assets import read_asset
from overmem.records import Example

PREAMBLES: tuple[str, ...] = read_asset("shifts/preamble.json", tuple[str, ...])
"""Sentences of several lengths that neither help nor mislead: no number, no advice on how to answer."""


def preamble(example: Example, random: random.Random) -> Example:
    """A neutral preamble before the question, one of two dozen of several lengths. Keeps the answer.

    Source: Ruan et al. 2025, https://arxiv.org/abs/2508.04117 (the idea; the sentences are our own).
    """
    return replace(example, question=f"{random.choice(PREAMBLES)} {example.question}")
