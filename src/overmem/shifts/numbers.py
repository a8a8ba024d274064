"""One number of the question changed, and solution and answer recomputed."""

import random
import re
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from overmem.records import Example

_NUMBER = re.compile(r"(?<![\w.,])\d+(?![\w%]|[.,]\d)")
_PART = re.compile(r"\d+(?=\s*[/:]\s*\d)|(?<=[/:])\d+|(?<=[/:] )\d+")
_ANY_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_EQUATION = re.compile(r"(?<![\w.)*/+-])(\d+(?:\s*[-+*/x×]\s*\d+)+)\s*=\s*\$?\s*(?:<<[^<>]*>>)?\s*(\d+)(?![\w.]\d)")
_NUMBER_WORDS = {
    **{"zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7"},
    **{"eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "fifteen": "15", "twenty": "20"},
    **{"half": "2", "halves": "2", "twice": "2", "double": "2", "pair": "2", "couple": "2", "both": "2"},
    **{"third": "3", "triple": "3", "quarter": "4", "week": "7", "decade": "10", "dozen": "12", "year": "12"},
    **{"day": "24", "hour": "60", "minute": "60", "%": "100", "percent": "100", "century": "100"},
}
"""Number word -> the digits that it may stand for."""


def numbers(example: Example, random: random.Random) -> Example:
    """One number of the question changed, and solution and answer recomputed. Changes the answer.

    The number changes by up to a fifth, a small number by up to two.

    The example is changed only if the recomputation is certain to be right: the solution is a chain of plain equations
    (`3 + 4 = 7`), every number in it comes from the question or is the result of an equation, no two of these
    quantities have the same value, and every new result is a whole number above 0 that no other quantity has. The
    changed number occurs once in one equation, is not part of a fraction or a ratio, and neither was nor becomes 1
    (`1 pens`); no number word (half, eight) stands for a value that changes. Otherwise, or if answers are not numbers,
    the example is returned unchanged.
    """
    question_numbers = [m.group() for m in _NUMBER.finditer(example.question)]
    solution = _without_annotations(example.solution)
    chain = [(m.group(1), m.group(2)) for m in _EQUATION.finditer(solution)]
    quantities = [*question_numbers, *(result for _, result in chain)]
    if example.kind != "math" or not chain or example.answer not in {result for _, result in chain}:
        return example
    unexplained = {*_ANY_NUMBER.findall(solution)} - {*quantities}
    unexplained |= {*_ANY_NUMBER.findall(example.question)} - {*question_numbers}
    if unexplained or len(set(quantities)) < len(quantities):
        return example
    operands = re.findall(r"\d+", " ".join(left for left, _ in chain))
    word_values = _values_of_words(f"{example.question} {solution}")
    parts = {*_PART.findall(example.question)}
    candidates = [n for n in question_numbers if operands.count(n) == 1 and n != "1" and n not in parts]
    for old_value in random.sample(candidates, len(candidates)):
        for new in random.sample(_nearby_numbers(int(old_value)), len(_nearby_numbers(int(old_value)))):
            values = _recompute(chain, {number: number for number in question_numbers} | {old_value: str(new)})
            if not values or values[example.answer] == example.answer or len(set(values.values())) < len(values):
                continue
            if not word_values & {value for value, other in values.items() if value != other}:
                return _with_values(example, values)
    return example


def _values_of_words(text: str) -> set[str]:
    """The values of the number words in a text."""
    words = re.findall(r"[a-z]+|%", text.lower().replace("s ", " "))
    return {_NUMBER_WORDS[word] for word in words if word in _NUMBER_WORDS}


def _without_annotations(solution: str) -> str:
    """A solution without GSM8K's calculator annotations."""
    return re.sub(r"<<[^<>]*>>", "", solution)


def _nearby_numbers(number: int) -> list[int]:
    max_change = max(2, number // 5)
    return [n for n in range(max(2, number - max_change), number + max_change + 1) if n != number]


def _recompute(chain: list[tuple[str, str]], values: dict[str, str]) -> dict[str, str] | None:
    """Old value -> new value of every quantity; None if an equation does not hold or a result is not whole."""
    old = {number: number for number in values}
    for left, result in chain:
        if any(number not in values for number in re.findall(r"\d+", left)):
            return None
        if _evaluate(left, old) != Fraction(result):
            return None
        new = _evaluate(left, values)
        if new is None or new.denominator != 1 or new < 1:
            return None
        values, old = values | {result: str(new)}, old | {result: result}
    return values


def _evaluate(left: str, values: dict[str, str]) -> Fraction | None:
    """The value of the left side of an equation; None for a division by 0."""
    parts = re.findall(r"\d+|[-+*/x×]", left)
    terms = [Fraction(values[parts[0]])]
    for sign, number in ((a, b) for a, b in pairwise(parts) if not a.isdigit()):
        value = Fraction(values[number])
        if sign in "*x×":
            terms[-1] *= value
        elif sign == "/":
            if value == 0:
                return None
            terms[-1] /= value
        else:
            terms.append(value if sign == "+" else -value)
    return sum(terms, Fraction(0))


def _with_values(example: Example, values: dict[str, str]) -> Example:
    def substitute(text: str) -> str:
        return _ANY_NUMBER.sub(lambda m: values.get(m.group(), m.group()), text)

    question, solution = substitute(example.question), substitute(example.solution)
    return replace(example, question=question, solution=solution, answer=values[example.answer])
