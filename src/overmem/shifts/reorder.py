"""The same sentences in another order."""

import random
import re
from dataclasses import replace

from overmem.records import Example
from overmem.shifts.sentences import split_question

_DEPENDENT = re.compile(
    r"\b(?:then|next|after|afterwards|before|later|finally|first|second|third|last|also|instead|however|but|so|thus|"
    r"he|she|it|they|his|her|hers|its|their|him|them|this|that|these|those|there|which|same|other|others|another|"
    r"rest|remaining|remainder|left|half|twice|double|triple|times|percent|more|less|fewer|again|both|each|ones|such|"
    r"therefore|hence|because|while|since|until|new|total|now|of the|if|when|one|"
    r"yesterday|today|tomorrow|tonight|morning|noon|evening)\b|%|\?",
    re.IGNORECASE,
)
"""Words that make a sentence depend on the previous one: moving it would change its meaning."""


def reorder(example: Example, random: random.Random) -> Example:
    """Two neighbouring sentences swapped, neither of which depends on the other. Keeps the answer.

    The first sentence and the final question stay in place. A sentence with a pronoun, a temporal word or a comparison
    is not moved; a question without two independent neighbours is returned unchanged.
    """
    parts = split_question(example.question)
    order = list(parts.sentences)
    is_free = [not _DEPENDENT.search(sentence) for sentence in order]
    candidates = [i for i in range(1, len(order) - 2) if is_free[i] and is_free[i + 1]]
    if not candidates:
        return example
    i = random.choice(candidates)
    order[i], order[i + 1] = order[i + 1], order[i]
    body = "".join(part + gap for part, gap in zip(order, parts.gaps, strict=True))
    return replace(example, question=body + parts.choices)
