"""The words of a verdict where another score than accuracy was logged: ROUGE is no accuracy, and 1 - WER is not one."""

import re
from dataclasses import replace

from overmem.records import Choice

_WORDS = {
    "the most accurate healthy one": "the healthy one of highest {}",
    "the most accurate healthy checkpoint": "the healthy checkpoint of highest {}",
    "the most accurate one": "the one of highest {}",
    "the first of the most accurate": "the first of highest {}",
    "to be more accurate than": "to have a higher {} than",
    "is more accurate than": "has a higher {} than",
    "more accurate than": "of higher {} than",
    "less accurate": "lower in {}",
    "more accurate": "higher in {}",
    "as accurate": "as high in {}",
    "accuracy of answers": "{}",
    "accuracies": "values of {}",
    "accuracy": "{}",
}
"""What is said of an accuracy -> of another score, whose name stands for `{}`; longer phrases first."""
_SAID = re.compile("|".join(rf"\b{words}\b" for words in _WORDS), re.IGNORECASE)


def in_terms_of(score: str, text: str) -> str:
    """The text about an accuracy as a text about the score.

    >>> in_terms_of("eval_rougeL", "Accuracy is kept, and checkpoint-3 is less accurate.")
    'eval_rougeL is kept, and checkpoint-3 is lower in eval_rougeL.'
    >>> in_terms_of("1 - eval_wer", "It costs 2.0 points of accuracy.")
    'It costs 2.0 points of `1-eval_wer`.'
    """
    name = f"`{score.replace(' - ', '-')}`" if " " in score else score  # no line ends within it

    def instead(match: re.Match[str]) -> str:
        words = _WORDS[match[0].lower()].format(name)
        begins = match[0][0].isupper() and not words.startswith(name)
        return words[0].upper() + words[1:] if begins else words

    return text if score == "accuracy" else _SAID.sub(instead, text)


def choice_in_terms_of(score: str, choice: Choice) -> Choice:
    """A choice whose reason speaks of the score."""
    return replace(choice, reason=in_terms_of(score, choice.reason))
