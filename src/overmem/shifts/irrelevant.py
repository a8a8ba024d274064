"""A sentence with a number that has nothing to do with the question."""

import random
import re
from dataclasses import replace

from overmem.records import Example
from overmem.shifts.sentences import sentences

ASIDES = (
    "{who}'s uncle is {n} years old.",
    "{who}, a neighbour, lives at number {n}.",
    "{who}'s cousin read {n} pages of a novel last week.",
    "On that day {who} was listening to the radio for {n} minutes.",
    "The shoe size of {who}'s father is {n}.",
    "In another town {who} owns {n} stamps.",
    "{who}'s grandmother once ran {n} miles.",
    "{who} was born on a street with {n} houses.",
)
"""Facts about someone whom the question does not know."""

PEOPLE = ("Agnes", "Boris", "Cora", "Dmitri", "Edith", "Fred", "Greta", "Hector", "Ida", "Jorge")


def irrelevant(example: Example, random: random.Random) -> Example:
    """An irrelevant sentence with a number of its own, before the last sentence of the question. Keeps the answer.

    It speaks of a person and a thing that the question does not know, with a number that the question does not hold.

    Source: Shi et al. 2023 (GSM-IC), https://arxiv.org/abs/2302.00093 (the idea; the wordings are our own).
    """
    told, text = sentences(example.question), f"{example.question} {example.solution} {example.answer}"
    used = set(re.findall(r"\w+", text))
    who = random.choice([p for p in PEOPLE if p not in used] or list(PEOPLE))
    number = random.choice([n for n in range(5, 60) if str(n) not in used] or [61])
    aside = random.choice(ASIDES).format(who=who, n=number)
    return replace(example, question=" ".join([*told[:-1], aside, *told[-1:]]))
