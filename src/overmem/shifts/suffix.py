"""A neutral sentence after the question."""

import random
from dataclasses import replace

from overmem.assets import read_asset
from overmem.records import Example
from overmem.shifts.sentences import split_question

SUFFIXES: tuple[str, ...] = read_asset("shifts/suffix.json", tuple[str, ...])
"""Sentences of several lengths that neither help nor mislead."""


def suffix(example: Example, random: random.Random) -> Example:
    """A neutral sentence, one of a dozen, after the question and before its choices. Keeps the answer."""
    choices = split_question(example.question).choices
    text = example.question[: len(example.question) - len(choices)]
    return replace(example, question=f"{text.rstrip()} {random.choice(SUFFIXES)}{choices}")
