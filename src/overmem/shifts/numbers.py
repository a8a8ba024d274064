"""Another number in the question, and the answer that follows from it."""

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
_SPOKEN = {
    **{"zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7"},
    **{"eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "fifteen": "15", "twenty": "20"},
    **{"half": "2", "halves": "2", "twice": "2", "double": "2", "pair": "2", "couple": "2", "both": "2"},
    **{"third": "3", "triple": "3", "quarter": "4", "week": "7", "decade": "10", "dozen": "12", "year": "12"},
    **{"day": "24", "hour": "60", "minute": "60", "%": "100", "percent": "100", "century": "100"},
}
"""Numbers that a text holds in words: where one has the value of a written number, it is not told apart from it."""


def numbers(example: Example, random: random.Random) -> Example:
    """One number of the question changed, and solution and answer recomputed. Changes the answer.

    By up to a fifth, a small one by up to two.

    Only where the recomputation is beyond doubt: the solution is a chain of plain equations (`3 + 4 = 7`), every number
    in it is one of the question's or the result of an equation, no two of these quantities have the same value, and
    every new result is a whole number above 0 that no other quantity has. The number that is changed enters one
    equation once, is no part of a fraction or a ratio, and is not 1 (nor becomes it: `1 pens`); no word (half, eight)
    stands for a value that changes. Else, and where answers are not numbers, the example stays as it is.
    """
    given = [m.group() for m in _NUMBER.finditer(example.question)]
    told = _plain(example.solution)
    chain = [(m.group(1), m.group(2)) for m in _EQUATION.finditer(told)]
    known = [*given, *(result for _, result in chain)]
    if example.kind != "math" or not chain or example.answer not in {result for _, result in chain}:
        return example
    strange = {*_ANY_NUMBER.findall(told)} - {*known} | {*_ANY_NUMBER.findall(example.question)} - {*given}
    if strange or len(set(known)) < len(known):
        return example
    used = re.findall(r"\d+", " ".join(left for left, _ in chain))
    spoken = _spoken(f"{example.question} {told}")
    free = [n for n in given if used.count(n) == 1 and n != "1" and n not in {*_PART.findall(example.question)}]
    for old in random.sample(free, len(free)):
        for new in random.sample(_near(int(old)), len(_near(int(old)))):
            values = _recomputed(chain, {number: number for number in given} | {old: str(new)})
            if not values or values[example.answer] == example.answer or len(set(values.values())) < len(values):
                continue
            if not spoken & {value for value, other in values.items() if value != other}:
                return _told(example, values)
    return example


def _spoken(text: str) -> set[str]:
    """The values of the number words in a text."""
    return {_SPOKEN[word] for word in re.findall(r"[a-z]+|%", text.lower().replace("s ", " ")) if word in _SPOKEN}


def _plain(solution: str) -> str:
    return re.sub(r"<<[^<>]*>>", "", solution)


def _near(number: int) -> list[int]:
    reach = max(2, number // 5)
    return [n for n in range(max(2, number - reach), number + reach + 1) if n != number]


def _recomputed(chain: list[tuple[str, str]], values: dict[str, str]) -> dict[str, str] | None:
    """Old value -> new value of every quantity, or nothing where an equation does not hold or a result is not whole."""
    old = {number: number for number in values}
    for left, result in chain:
        if any(number not in values for number in re.findall(r"\d+", left)) or _evaluated(left, old) != Fraction(
            result
        ):
            return None
        new = _evaluated(left, values)
        if new is None or new.denominator != 1 or new < 1:
            return None
        values, old = values | {result: str(new)}, old | {result: result}
    return values


def _evaluated(left: str, values: dict[str, str]) -> Fraction | None:
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


def _told(example: Example, values: dict[str, str]) -> Example:
    def swapped(text: str) -> str:
        return _ANY_NUMBER.sub(lambda m: values.get(m.group(), m.group()), text)

    return replace(
        example, question=swapped(example.question), solution=swapped(example.solution), answer=values[example.answer]
    )
