"""Slips of the keyboard."""

import random
import re
from dataclasses import replace

from overmem.records import Example

_WORD = re.compile(r"(?<![\w'])[a-z]{4,}(?![\w'])")
_QUANTITIES = """
three four five seven eight nine eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million half halves
third thirds quarter quarters fourth fifth sixth seventh eighth ninth tenth twice double doubled
triple dozen couple once equal equally both more less fewer than each every percent total left times plus minus
"""
_NUMBER_WORDS = frozenset(_QUANTITIES.split())
"""Words that carry the arithmetic: a slip in one of them could change the problem."""


def typos(example: Example, random: random.Random, *, rate: float = 0.1) -> Example:
    """One typing slip in about a tenth of the lower-case words, never in quantities. Keeps the answer.

    Each slip swaps two neighbouring inner letters, drops one, or doubles one; first letters stay.
    """
    words = [m for m in _WORD.finditer(example.question) if m.group() not in _NUMBER_WORDS]
    if not words:
        return example
    text = example.question
    for found in sorted(random.sample(words, max(1, round(rate * len(words)))), key=lambda m: -m.start()):
        text = text[: found.start()] + _slip(found.group(), random) + text[found.end() :]
    return replace(example, question=text)


def _slip(word: str, random: random.Random) -> str:
    at = random.randrange(1, len(word) - 1)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    forms = [word[:at] + word[at + 1 :], word[: at + 1] + word[at:]]
    return random.choice(forms if swapped == word else [swapped, swapped, *forms])
