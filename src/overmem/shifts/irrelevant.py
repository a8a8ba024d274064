"""An irrelevant sentence that contains a number."""

import random
import re
from dataclasses import dataclass, replace

from overmem.assets import read_asset
from overmem.records import Example
from overmem.shifts.sentences import split_question


@dataclass(frozen=True)
class Facts:
    """Sentences with {n}, and in `about_people` with {who}, one of `people`."""

    about_people: tuple[str, ...]
    about_things: tuple[str, ...]
    people: tuple[str, ...]


FACTS: Facts = read_asset("shifts/irrelevant.json", Facts)
_PRONOUN = re.compile(r"\b(?:he|him|his|she|hers?|who|whom|whose|each|everyone|everybody|they|them|their)\b", re.I)
"""Words in the final question that could be read as referring to a person named just before it."""


def irrelevant(example: Example, random: random.Random) -> Example:
    """An irrelevant sentence with a number, inserted before the final question. Keeps the answer.

    The sentence is about a person or a thing that the question does not mention, and its number does not occur in the
    question. It is about a thing if a pronoun in the final question could be read as the person.

    Source: Shi et al. 2023 (GSM-IC), https://arxiv.org/abs/2302.00093 (the idea; the wordings are our own).
    """
    parts = split_question(example.question)
    text = f"{example.question} {example.solution} {example.answer}"
    used = set(re.findall(r"\w+", text))
    who = random.choice([p for p in FACTS.people if p not in used] or list(FACTS.people))
    number = random.choice([n for n in range(5, 60) if str(n) not in used] or [61])
    sentence = random.choice(FACTS.about_things if _PRONOUN.search(parts.sentences[-1]) else FACTS.about_people)
    before = "".join(part + gap for part, gap in zip(parts.sentences[:-1], parts.gaps, strict=False))
    return replace(
        example, question=f"{before}{sentence.format(who=who, n=number)} {parts.sentences[-1]}{parts.choices}"
    )
