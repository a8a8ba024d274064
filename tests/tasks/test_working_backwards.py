"""Stories whose beginning is asked for: their sums are right, their splits distinct, their words pebble's own."""

import re

import pytest

from overmem.seeds import python_random
from overmem.tasks import working_backwards
from overmem.tasks.wordproblems import LIMIT, ONE_AMOUNT, Chain


def numbers_of(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_every_equation_holds_and_the_last_number_is_the_answer(length: int) -> None:
    for index in range(60):
        example, numbers = working_backwards.problem(python_random(length, index), steps=(length, length))
        equations = re.findall(r"(\d+) ([+-]) (\d+) = (\d+)", example.solution)
        assert len(equations) == length
        for a, sign, b, c in equations:
            assert int(c) == int(a) + (int(b) if sign == "+" else -int(b)), example
        assert numbers_of(example.solution)[-1] == int(example.answer) == numbers.start
        told = numbers_of(example.question)
        assert told == [*(abs(change) for change in numbers.changes), numbers.totals[-1]]
        assert 1 <= min(told + numbers_of(example.solution)) <= max(told + numbers_of(example.solution)) <= LIMIT


def test_each_change_is_undone_in_the_order_of_the_story() -> None:
    assert working_backwards.undone(Chain(10, (5, -3))) == (12, 7, 10)


@pytest.mark.parametrize("domain", ONE_AMOUNT)
def test_a_story_has_no_number_at_its_beginning_and_no_gap(domain: str) -> None:
    for index in range(40):
        example, _ = working_backwards.problem(python_random(domain, index), domains=(domain,))
        assert not re.search(r"[{}]|  | \.", example.question + example.solution)
        assert not re.search(r"\d", example.question.split(". ")[0])
        assert example.question[0].isupper()
        assert example.question.endswith(("?", "."))
