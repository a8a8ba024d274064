"""The same sentences in another order."""

import random
import re
from dataclasses import replace

from overmem.records import Example
from overmem.shifts.sentences import story

_TIED = re.compile(
    r"\b(?:then|next|after|afterwards|before|later|finally|first|second|third|last|also|instead|however|but|so|thus|"
    r"he|she|it|they|his|her|hers|its|their|him|them|this|that|these|those|there|which|same|other|others|another|"
    r"rest|remaining|remainder|left|half|twice|double|triple|times|percent|more|less|fewer|again|both|each|ones|such|"
    r"therefore|hence|because|while|since|until|new|total|now|of the|if|when|one|"
    r"yesterday|today|tomorrow|tonight|morning|noon|evening)\b|%|\?",
    re.IGNORECASE,
)
"""Words that tie a sentence to the one before it: moving it would change what it means."""


def reorder(example: Example, random: random.Random) -> Example:
    """Two neighbouring sentences swapped, where neither leans on the other. Keeps the answer.

    The first sentence and the question at the end stay. A sentence with a pronoun, a word of sequence or a word of
    comparison is not moved; a question in which no two neighbours may be swapped is returned as it is.
    """
    told, gaps, rest = story(example.question)
    free = [i for i in range(1, len(told) - 2) if not _TIED.search(told[i]) and not _TIED.search(told[i + 1])]
    if not free:
        return example
    at = random.choice(free)
    told[at], told[at + 1] = told[at + 1], told[at]
    return replace(example, question="".join(part + gap for part, gap in zip(told, gaps, strict=True)) + rest)
