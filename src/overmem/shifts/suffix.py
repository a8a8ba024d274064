"""A harmless sentence after the question."""

import random
from dataclasses import replace

from overmem.records import Example
from overmem.shifts.sentences import story

SUFFIXES = (
    "Thanks!",
    "Thank you.",
    "Cheers.",
    "That is all.",
    "Thanks in advance.",
    "Have a nice day.",
    "I am looking forward to your reply.",
    "That was the whole question.",
    "There is no hurry.",
    "This is the end of the question. Nothing was left out.",
    "I have to leave soon, but I will read your reply in the evening.",
    "Thank you for reading this far, and best wishes to everyone at home.",
)
"""Wordings of several lengths that neither help nor mislead."""


def suffix(example: Example, random: random.Random) -> Example:
    """A neutral sentence after the question, before its choices, one of a dozen wordings. Keeps the answer."""
    _, _, choices = story(example.question)
    told = example.question[: len(example.question) - len(choices)]
    return replace(example, question=f"{told.rstrip()} {random.choice(SUFFIXES)}{choices}")
