"""A sentence with a number that has nothing to do with the question."""

import random
import re
from dataclasses import replace

from overmem.records import Example
from overmem.shifts.sentences import story

OF_PEOPLE = (
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

OF_THINGS = (
    "The nearest cinema has {n} seats.",
    "The radio plays {n} songs before the news.",
    "The street outside is {n} feet wide.",
    "The town hall is {n} years old.",
    "On the wall hangs a calendar with {n} pictures.",
    "The river nearby is home to {n} kinds of fish.",
    "A bridge on the way has {n} lamps.",
    "The village band knows {n} marches.",
)
"""Facts about something that the question does not know."""

PEOPLE = ("Agnes", "Boris", "Cora", "Dmitri", "Edith", "Fred", "Greta", "Hector", "Ida", "Jorge")
_SOMEONE = re.compile(r"\b(?:he|him|his|she|hers?|who|whom|whose|each|everyone|everybody|they|them|their)\b", re.I)
"""Words in the question at the end that someone named just before it might be taken for."""


def irrelevant(example: Example, random: random.Random) -> Example:
    """An irrelevant sentence with a number of its own, before the sentence that asks. Keeps the answer.

    It speaks of a person or a thing that the question does not know, with a number that the question does not hold; of
    a thing wherever a `she` in the question at the end could be taken for the person.

    Source: Shi et al. 2023 (GSM-IC), https://arxiv.org/abs/2302.00093 (the idea; the wordings are our own).
    """
    told, gaps, rest = story(example.question)
    text = f"{example.question} {example.solution} {example.answer}"
    used = set(re.findall(r"\w+", text))
    who = random.choice([p for p in PEOPLE if p not in used] or list(PEOPLE))
    number = random.choice([n for n in range(5, 60) if str(n) not in used] or [61])
    kind = OF_THINGS if _SOMEONE.search(told[-1]) else OF_PEOPLE
    aside = random.choice(kind).format(who=who, n=number)
    before = "".join(part + gap for part, gap in zip(told[:-1], gaps, strict=False))
    return replace(example, question=f"{before}{aside} {told[-1]}{rest}")
