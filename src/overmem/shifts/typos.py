"""Typing errors."""

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
"""Words that carry the arithmetic: a typo in one of them could change the problem."""


def typos(example: Example, random: random.Random, *, rate: float = 0.1) -> Example:
    """One typo in each of about a tenth of the lower-case words, never in quantities. Keeps the answer.

    A typo swaps two neighbouring inner letters, drops one, or doubles one; first letters stay.
    """
    words = [m for m in _WORD.finditer(example.question) if m.group() not in _NUMBER_WORDS]
    if not words:
        return example
    text = example.question
    for match in sorted(random.sample(words, max(1, round(rate * len(words)))), key=lambda m: -m.start()):
        text = text[: match.start()] + _misspell(match.group(), random) + text[match.end() :]
    return replace(example, question=text)


def _misspell(word: str, random: random.Random) -> str:
    i = random.randrange(1, len(word) - 1)
    swapped = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    forms = [word[:i] + word[i + 1 :], word[: i + 1] + word[i:]]
    return random.choice(forms if swapped == word else [swapped, swapped, *forms])
