"""The accuracy that needs no understanding of a question: that of guessing, or of always giving one answer."""

import re
from collections import Counter
from collections.abc import Sequence

from overmem import statistics
from overmem.grading.answers import normalize_words
from overmem.records import Example

MOST_CHOICES = 10
"""Answers among which a task is one of choosing; of more it is open."""
REPEATED = 5
"""How often each answer must come, on average, before a few answers count as all that there are."""
_LABEL = re.compile(r"(?:^|(?<=[\s(\[,;]))\(?([A-J])[).:\]]")


def guessed_accuracy(examples: Sequence[Example], training: Sequence[Example] = ()) -> float:
    """Accuracy of the better of two blind strategies; 0 where answers are open, or are programs.

    The strategies: a random choice among the lettered choices of each question, and always the answer that is the most
    frequent one in `training` (without training rows, in the other half of the examples), where that is shown to be
    better.
    """
    if not examples or any(example.kind in ("none", "code") or ":" in example.kind for example in examples):
        return 0.0
    random, constant = _random_choice(examples), _constant_answer(examples, training)
    if not random:
        return constant
    is_better = statistics.share(constant * len(examples), len(examples)).low or 0.0
    return constant if is_better > random else random


def lettered_choices(question: str) -> int:
    """How many choices the question offers, lettered from A in order; 0 if fewer than two.

    >>> lettered_choices("Which one? (A) red (B) green (C) blue"), lettered_choices("Is A. Smith right?")
    (3, 0)
    """
    count = 0
    for label in _LABEL.finditer(question):
        if label[1] == "A":
            count = 1  # choices come last: letters before them are part of the question
        elif count and label[1] == "ABCDEFGHIJ"[min(count, MOST_CHOICES - 1)]:
            count += 1
    return count if count > 1 else 0


def _random_choice(examples: Sequence[Example]) -> float:
    counts = [lettered_choices(example.question) if example.kind == "choice" else 0 for example in examples]
    return sum(1 / count for count in counts if count) / len(counts)


def _constant_answer(examples: Sequence[Example], training: Sequence[Example]) -> float:
    answers = [normalize_words(example.answer) for example in examples]
    if not 2 <= len({*answers}) <= min(MOST_CHOICES, len(answers) / REPEATED):
        return 0.0
    if training:
        return answers.count(_most_frequent([normalize_words(example.answer) for example in training])) / len(answers)
    halves = answers[::2], answers[1::2]
    right = sum(mine.count(_most_frequent(other)) for mine, other in (halves, halves[::-1]) if other)
    return right / len(answers)


def _most_frequent(answers: Sequence[str]) -> str:
    return Counter(answers).most_common(1)[0][0]
