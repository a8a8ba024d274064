"""Stories asked about one step before their end: sums are right, splits distinct, the words pebble's own."""

import re

import pytest

from overmem.seeds import python_random
from overmem.tasks import one_step_back
from overmem.tasks.wordproblems import LIMIT, ONE_AMOUNT

SIZES = {"train": 60, "val": 50, "test": 50, "ood": 40}


def numbers_of(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_every_equation_holds_and_the_last_number_is_the_answer(length: int) -> None:
    for index in range(60):
        example, numbers = one_step_back.problem(python_random(length, index), steps=(length, length))
        equations = re.findall(r"(\d+) ([+-]) (\d+) = (\d+)", example.solution)
        assert len(equations) == length
        for a, sign, b, c in equations:
            assert int(c) == int(a) + (int(b) if sign == "+" else -int(b)), example
        assert numbers_of(example.solution)[-1] == int(example.answer) == numbers.totals[-2]
        numbers_in_story = numbers_of(example.question)
        assert numbers_in_story == [numbers.start, *(abs(change) for change in numbers.changes)]
        assert 1 <= min(numbers_of(example.solution)) <= max(numbers_of(example.solution)) <= LIMIT


def test_the_answer_is_never_the_end_of_the_story() -> None:
    for split in one_step_back.splits(**SIZES).values():
        for example in split:
            assert re.findall(r"= (\d+)", example.solution)[-1] != example.answer


@pytest.mark.parametrize("domain", ONE_AMOUNT)
def test_a_story_asks_for_one_step_before_and_has_no_gap(domain: str) -> None:
    for index in range(40):
        example, _ = one_step_back.problem(python_random(domain, index), domains=(domain,))
        assert not re.search(r"[{}]|  | \.", example.question + example.solution)
        assert "one step" in example.question
        assert example.question.endswith(("?", "."))
