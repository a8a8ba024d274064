"""The generated word problems: correct, within bounds, reproducible, without duplicates."""

import random
import re

import pytest

from overmem.errors import BadRequest
from overmem.seeds import python_random
from overmem.tasks import wordproblems
from overmem.tasks.stories import DOMAINS, NAMES
from overmem.tasks.voices import PREAMBLES, VOICES

SIZES = {"train": 60, "val": 50, "test": 50, "ood": 40}


def splits(**changes: int) -> dict[str, list[wordproblems.Example]]:
    return wordproblems.splits(**{**SIZES, **changes})


def numbers_of(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("length", [1, 2, 3, 4, 6])
def test_every_equation_in_a_solution_holds_and_its_last_number_is_the_answer(voice: str, length: int) -> None:
    for index in range(60):
        example = wordproblems.problem(python_random(voice, length, index), steps=(length, length), voice=voice)
        for a, sign, b, c in re.findall(r"(\d+) ([+-]|plus|minus) (\d+) (?:=|is) (\d+)", example.solution):
            assert int(c) == int(a) + (int(b) if sign in ("+", "plus") else -int(b)), example
        assert numbers_of(example.solution)[-1] == int(example.answer)
        assert len(numbers_of(example.question)) == length + 1


def test_the_answer_follows_from_the_numbers_of_the_question_alone() -> None:
    for index in range(200):
        example = wordproblems.problem(python_random(index), steps=(1, 1))
        a, b = numbers_of(example.question)
        assert int(example.answer) in (a + b, a - b)


def test_no_number_leaves_the_bounds() -> None:
    for index in range(300):
        example = wordproblems.problem(python_random(index), steps=(1, 6))
        assert min(numbers_of(example.question + example.solution)) >= 1
        assert max(numbers_of(example.question + example.solution)) <= wordproblems.LIMIT


@pytest.mark.parametrize("domain", DOMAINS)
def test_stories_of_every_domain_have_all_placeholders_filled(domain: str) -> None:
    for index in range(40):
        example = wordproblems.problem(python_random(domain, index), steps=(1, 4), domains=(domain,))
        assert not re.search(r"[{}]|  | \.", example.question + example.solution)
        assert example.question.endswith(("?", "."))


def test_a_comparison_asks_for_the_last_person_of_the_chain() -> None:
    for index in range(50):
        example = wordproblems.problem(python_random(index), steps=(3, 3), domains=("ages", "collections"))
        people = list(dict.fromkeys(re.findall("|".join(rf"\b{name}\b" for name in NAMES), example.question)))
        question = example.question.split(". ")[-1]
        assert len(people) == 4
        assert people[-1] in question
        assert not any(person in question for person in people[:-1])


def test_one_question_has_many_solutions_with_the_same_answer() -> None:
    numbers = wordproblems.Chain(10, (5, -3))
    rephrased = {wordproblems.solution(random.Random(seed), numbers, VOICES["tutor"]) for seed in range(200)}
    assert len(rephrased) > 100
    assert {numbers_of(text)[-1] for text in rephrased} == {12}


def test_the_same_seed_gives_the_same_splits_and_another_seed_other_ones() -> None:
    assert splits() == splits()
    assert {example.id for example in splits()["test"]}.isdisjoint(example.id for example in splits(seed=1)["test"])


def test_a_larger_training_split_starts_with_the_smaller_one() -> None:
    assert splits(train=90)["train"][:60] == splits()["train"]


def test_splits_have_the_requested_sizes_steps_and_domains() -> None:
    generated = splits()
    assert {name: len(rows) for name, rows in generated.items()} == {
        "train": 60,
        "val": 50,
        "test": 50,
        "ood-longer": 40,
        "ood-domain": 40,
    }
    for name, rows in generated.items():
        lengths = {len(numbers_of(example.question)) - 1 for example in rows}
        assert lengths == ({4} if name == "ood-longer" else {2, 3})
    harbour_words = re.compile(r"harbour|boats|ships|ferries")
    assert all(harbour_words.search(example.question) for example in generated["ood-domain"])
    assert not any(
        harbour_words.search(example.question)
        for name in generated
        if name != "ood-domain"
        for example in generated[name]
    )


def test_no_two_questions_of_any_splits_are_near_duplicates() -> None:
    def grams(text: str) -> set[tuple[str, ...]]:
        words = text.casefold().split()
        return set(zip(words, words[1:], words[2:], strict=False))

    rows = [grams(example.question) for rows in splits().values() for example in rows]
    for index, ours in enumerate(rows):
        assert all(len(ours & other) < 0.8 * len(ours | other) for other in rows[:index])


def test_an_id_depends_on_the_question_and_not_on_the_solution() -> None:
    ids = [example.id for rows in splits().values() for example in rows]
    assert len(set(ids)) == len(ids)
    book, tutor = (wordproblems.problem(random.Random(5), voice=voice) for voice in ("book", "tutor"))
    assert book.question == tutor.question
    assert book.id == tutor.id
    assert book.solution != tutor.solution


def test_a_preamble_changes_the_question_and_nothing_else() -> None:
    without, with_preamble = (wordproblems.problem(random.Random(3), preamble=chance) for chance in (0.0, 1.0))
    assert with_preamble.question in {f"{text} {without.question}" for text in PREAMBLES}
    assert (with_preamble.solution, with_preamble.answer) == (without.solution, without.answer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"domains": ("moon",)}, "unknown domain 'moon'.*harbour"),
        ({"voice": "poet"}, "unknown voice 'poet'.*tutor"),
        ({"steps": (3, 2)}, r"steps \(3, 2\)"),
        ({"steps": (0, 2)}, r"steps \(0, 2\)"),
    ],
)
def test_unknown_or_impossible_options_are_refused_by_name(options: dict[str, object], message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        wordproblems.problem(random.Random(0), **options)  # type: ignore[arg-type]


def test_a_negative_size_is_refused_and_an_empty_split_is_empty() -> None:
    with pytest.raises(BadRequest, match="val"):
        splits(val=-1)
    assert splits(val=0)["val"] == []
