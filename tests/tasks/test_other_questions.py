"""The tasks that ask another question of the stories: distinct splits, equal answers, words that pebble knows."""

import random
import re
from types import ModuleType

import pytest

from overmem.errors import BadRequest
from overmem.models.discovery import load_tokenizer
from overmem.tasks import Data, load, one_step_back, working_backwards
from overmem.tasks.stories import DOMAINS
from overmem.tasks.wordproblems import ONE_AMOUNT, OOD_STEPS, Chain

SIZES = {"train": 60, "val": 50, "test": 50, "ood": 40}
TASKS = {"one-step-back": one_step_back, "working-backwards": working_backwards}
each_task = pytest.mark.parametrize(("name", "task"), TASKS.items())


def numbers_of(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def test_stories_that_compare_people_are_left_out() -> None:
    assert not any(DOMAINS[name].compares for name in ONE_AMOUNT)
    assert len(ONE_AMOUNT) >= 8


@pytest.mark.parametrize(("task", "steps", "longer"), [(one_step_back, {2}, 3), (working_backwards, {2, 3}, OOD_STEPS)])
def test_splits_are_distinct_and_have_the_requested_steps_and_domains(
    task: ModuleType, steps: set[int], longer: int
) -> None:
    made = task.splits(**SIZES)
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
        changes = {len(numbers_of(example.question)) - 1 for example in split}
        assert changes == ({longer} if name == "ood-longer" else steps)
    at_sea = re.compile("harbour|[Bb]oats|[Ss]hips|[Ff]erries")
    assert all(at_sea.search(example.question) for example in made["ood-domain"])
    assert not any(at_sea.search(example.question) for name in ("train", "val", "test") for example in made[name])


@each_task
def test_the_same_seed_gives_the_same_splits_and_another_seed_other_ones(name: str, task: ModuleType) -> None:
    first, again = (task.splits(**SIZES) for _ in range(2))
    assert first == again
    other = task.splits(**SIZES, seed=1)
    assert {one.id for one in first["test"]}.isdisjoint(one.id for one in other["test"])


@pytest.mark.parametrize(("task", "answer"), [(one_step_back, 15), (working_backwards, 10)])
def test_one_question_has_many_solutions_with_the_same_answer(task: ModuleType, answer: int) -> None:
    solutions = {task.solution(random.Random(seed), Chain(10, (5, -3))) for seed in range(200)}
    assert len(solutions) > 100
    assert {numbers_of(text)[-1] for text in solutions} == {answer}


@each_task
def test_pebble_reads_nearly_every_word_as_one_token(name: str, task: ModuleType) -> None:
    tokenizer = load_tokenizer("pebble")
    for split, rows in load(Data(name, train=50, val=50, test=50)).splits.items():
        for example in rows:
            text = f"{example.question} {example.solution}"
            pieces = re.findall(r"\d+|[A-Za-z]+|[^\sA-Za-z\d]+|\n", text)
            assert len(tokenizer(text)["input_ids"]) <= len(pieces) + 8, (split, text)


@each_task
def test_options_and_sizes_that_do_not_exist_are_refused(name: str, task: ModuleType) -> None:
    with pytest.raises(BadRequest, match=rf"data\.options of {name}"):
        load(Data(name, options={"steps": 3}))
    with pytest.raises(BadRequest, match=f"{name}: sizes of val"):
        task.splits(val=-1)
