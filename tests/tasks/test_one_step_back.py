"""Stories asked about one step before their end: sums are right, splits distinct, the words pebble's own."""

import random
import re

import pytest

from overmem.errors import BadRequest
from overmem.models.discovery import load_tokenizer
from overmem.seeds import python_random
from overmem.tasks import Data, load, one_step_back
from overmem.tasks.stories import DOMAINS
from overmem.tasks.wordproblems import LIMIT, Chain

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


@pytest.mark.parametrize("domain", one_step_back.STORIES)
def test_a_story_asks_for_one_step_before_and_has_no_gap(domain: str) -> None:
    for index in range(40):
        example, _ = one_step_back.problem(python_random(domain, index), domains=(domain,))
        assert not re.search(r"[{}]|  | \.", example.question + example.solution)
        assert "one step" in example.question
        assert example.question.endswith(("?", "."))


def test_stories_that_compare_people_are_left_out() -> None:
    assert not any(DOMAINS[name].compares for name in one_step_back.STORIES)
    assert len(one_step_back.STORIES) >= 8


def test_splits_are_distinct_and_have_the_requested_steps_and_domains() -> None:
    made = one_step_back.splits(**SIZES)
    assert {name: len(rows) for name, rows in made.items()} == {
        "train": 60,
        "val": 50,
        "test": 50,
        "ood-longer": 40,
        "ood-domain": 40,
    }
    rows = [example for split in made.values() for example in split]
    assert len({example.id for example in rows}) == len(rows)
    assert len({re.sub(r"\d+", "#", example.question) for example in rows}) == len(rows)
    for name, split in made.items():
        steps = {len(numbers_of(example.question)) - 1 for example in split}
        assert steps == ({3} if name == "ood-longer" else {2})
    at_sea = re.compile("harbour|[Bb]oats|[Ss]hips|[Ff]erries")
    assert all(at_sea.search(example.question) for example in made["ood-domain"])
    assert not any(at_sea.search(example.question) for name in ("train", "val", "test") for example in made[name])


def test_the_same_seed_gives_the_same_splits_and_another_seed_other_ones() -> None:
    first, again = (one_step_back.splits(**SIZES) for _ in range(2))
    assert first == again
    other = one_step_back.splits(**SIZES, seed=1)
    assert {one.id for one in first["test"]}.isdisjoint(one.id for one in other["test"])


def test_one_question_has_many_solutions_with_the_same_answer() -> None:
    numbers = Chain(10, (5, -3))
    solutions = {one_step_back.solution(random.Random(seed), numbers) for seed in range(200)}
    assert len(solutions) > 100
    assert {numbers_of(text)[-1] for text in solutions} == {15}


def test_pebble_reads_nearly_every_word_as_one_token() -> None:
    tokenizer = load_tokenizer("pebble")
    for name, rows in load(Data("one-step-back", train=50, val=50, test=50)).splits.items():
        for example in rows:
            text = f"{example.question} {example.solution}"
            pieces = re.findall(r"\d+|[A-Za-z]+|[^\sA-Za-z\d]+|\n", text)
            assert len(tokenizer(text)["input_ids"]) <= len(pieces) + 8, (name, text)


def test_options_and_sizes_that_do_not_exist_are_refused() -> None:
    with pytest.raises(BadRequest, match=r"data\.options of one-step-back"):
        load(Data("one-step-back", options={"steps": 3}))
    with pytest.raises(BadRequest, match="one-step-back: sizes of val"):
        one_step_back.splits(val=-1)
