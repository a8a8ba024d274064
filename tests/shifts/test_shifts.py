"""Shifts: deterministic rephrasings, and what each of them must leave unchanged."""

import random
import re

import pytest

from overmem.errors import BadRequest
from overmem.records import Example
from overmem.shifts import SHIFTS, keeps_answer, original_id, parse_shift, shift_of, shifted, shifted_id, variants
from overmem.shifts.irrelevant import FACTS, irrelevant
from overmem.shifts.names import NAMES, names
from overmem.shifts.numbers import numbers
from overmem.shifts.preamble import PREAMBLES
from overmem.shifts.reorder import reorder
from overmem.shifts.sentences import sentences, split_question
from overmem.shifts.typos import typos
from overmem.tasks.wordproblems import splits

EXAMPLES = splits(train=0, val=0, test=60, ood=0, seed=3)["test"]
DIGITS = re.compile(r"\d+")


def make_example(question, solution="", answer="7"):
    return Example("a1", question, solution, answer)


@pytest.mark.parametrize("name", SHIFTS)
def test_a_shift_is_deterministic_and_does_not_depend_on_the_other_examples_or_their_order(name):
    all_shifted = {e.id: e for e in shifted(EXAMPLES, name)}
    some_shifted = {e.id: e for e in shifted(EXAMPLES[10:4:-1], name)}
    assert some_shifted
    assert all(all_shifted[i] == e for i, e in some_shifted.items())


@pytest.mark.parametrize("name", SHIFTS)
def test_another_seed_gives_another_rephrasing(name):
    assert shifted(EXAMPLES, name, seed=0) != shifted(EXAMPLES, name, seed=1)


@pytest.mark.parametrize("name", SHIFTS)
def test_every_shifted_example_is_paired_with_its_original_and_differs_from_it(name):
    originals = {e.id: e for e in EXAMPLES}
    rephrased = shifted(EXAMPLES, name)
    assert len(rephrased) > len(EXAMPLES) / 5
    for e in rephrased:
        origin = originals[original_id(e.id, name)]
        assert e.id == shifted_id(origin.id, name)
        assert e.question != origin.question
        assert (e.kind, e.group) == (origin.kind, origin.group)


@pytest.mark.parametrize("name", SHIFTS)
def test_keeps_answer_is_correct_for_every_shift(name):
    originals = {e.id: e for e in EXAMPLES}
    for e in shifted(EXAMPLES, name):
        assert (e.answer == originals[original_id(e.id, name)].answer) is keeps_answer(name)


@pytest.mark.parametrize("name", SHIFTS)
def test_the_first_line_of_a_docstring_says_whether_the_answer_is_kept(name):
    summary = SHIFTS[name].__doc__.partition("\n")[0]
    assert summary.endswith("Keeps the answer." if keeps_answer(name) else "Changes the answer.")


@pytest.mark.parametrize("name", [n for n in SHIFTS if n not in ("irrelevant", "numbers")])
def test_a_shift_that_keeps_the_answer_keeps_every_number_of_the_question(name):
    originals = {e.id: e for e in EXAMPLES}
    for e in shifted(EXAMPLES, name):
        before = DIGITS.findall(originals[original_id(e.id, name)].question)
        assert sorted(DIGITS.findall(e.question)) == sorted(before)


def test_there_are_at_least_twenty_preambles_of_several_lengths_without_numbers():
    assert len(set(PREAMBLES)) >= 20
    lengths = [len(p.split()) for p in PREAMBLES]
    assert min(lengths) <= 2
    assert max(lengths) >= 30
    assert not any(DIGITS.search(p) or re.search(r"\b(?:step|carefully|think|answer is|math)", p) for p in PREAMBLES)


def test_further_rephrasings_differ_from_the_first_and_from_one_another():
    rephrased = variants(EXAMPLES, "preamble", 3)
    assert list(rephrased) == ["preamble", "preamble.2", "preamble.3"]
    forms = {n: {original_id(e.id, n): e.question for e in rows} for n, rows in rephrased.items()}
    for e in EXAMPLES:
        assert len({e.question, *(forms[n][e.id] for n in rephrased)}) == 4
    assert rephrased["preamble"] == shifted(EXAMPLES, "preamble")
    assert all(shift_of(n) == "preamble" for n in rephrased)


def test_one_more_rephrasing_leaves_the_others_unchanged():
    few, many = variants(EXAMPLES, "typos", 2), variants(EXAMPLES[::-1], "typos", 4)
    assert all({e.id: e for e in few[n]} == {e.id: e for e in many[n]} for n in few)


def test_an_example_without_a_further_rephrasing_is_left_out():
    example = make_example("Ann has 3 pens. A pen costs 3 coins. A book costs 9 coins. What do two pens cost?")
    assert [len(rows) for rows in variants([example], "reorder", 3).values()] == [1, 0, 0]


def test_a_shift_is_requested_by_name_and_number_of_rephrasings():
    assert parse_shift("preamble:3") == ("preamble", 3)
    with pytest.raises(BadRequest, match="preamble"):
        parse_shift("preambel:3")
    with pytest.raises(BadRequest, match="1 or more"):
        parse_shift("preamble:0")


def test_an_irrelevant_sentence_adds_one_number_that_the_question_did_not_hold():
    originals = {e.id: e for e in EXAMPLES}
    for e in shifted(EXAMPLES, "irrelevant"):
        origin = originals[original_id(e.id, "irrelevant")]
        (new,) = set(DIGITS.findall(e.question)) - set(DIGITS.findall(origin.question))
        assert new not in DIGITS.findall(origin.solution)
        assert sentences(e.question)[-1] == sentences(origin.question)[-1]


def test_no_person_is_added_just_before_a_pronoun():
    for question in ("Ann has 3 pens. How many does she have?", "Ann lies. So who is a knight?"):
        for seed in range(20):
            new = irrelevant(make_example(question), random.Random(seed)).question
            assert not any(person in new for person in FACTS.people)


CHOICES = "A man walks.  His dog runs. Which is faster?\n(A) The man. He walks.\n(B) The dog. It runs."


def test_answer_choices_stay_after_the_question():
    assert split_question(CHOICES) == (
        ["A man walks.", "His dog runs.", "Which is faster?"],
        ["  ", " ", ""],
        "\n(A) The man. He walks.\n(B) The dog. It runs.",
    )
    new = irrelevant(make_example(CHOICES, answer="B"), random.Random(0)).question
    assert new.startswith("A man walks.  His dog runs. ")
    assert new.endswith("Which is faster?\n(A) The man. He walks.\n(B) The dog. It runs.")


@pytest.mark.parametrize(
    "question",
    [CHOICES, "One line", "Ask first? Then tell. And tell.", "", "  Space.  Around?  ", "A.\n\nB. How?\n\nC."],
)
def test_the_parts_of_a_question_concatenate_to_the_question(question):
    story, gaps, rest = split_question(question)
    assert "".join(some_shifted + gap for some_shifted, gap in zip(story, gaps, strict=True)) + rest == question


def test_names_are_replaced_consistently_by_names_of_the_same_gender():
    example = Example("k1", "Ann is a knight, says Emma. Tom lies, she adds.", "Emma says so of Tom.", "Emma", "exact")
    changed = names(example, random.Random(0))
    assert changed.answer in NAMES.women
    assert changed.answer != "Emma"
    new = changed.question.split()[6]
    assert new in NAMES.men
    assert changed.solution == f"{changed.answer} says so of {new}."


def test_will_the_verb_is_not_a_name():
    example = make_example("Will the shop have 3 apples?")
    assert names(example, random.Random(0)) == example


@pytest.mark.parametrize("solution", ["So sam wins.", "So Sammy wins.", "So Samuel wins."])
def test_a_name_that_also_occurs_in_another_form_is_not_changed(solution):
    example = make_example("Sam has 3 pens. Ben has 4.", solution)
    assert names(example, random.Random(0)) == example


def test_a_place_with_a_name_in_it_keeps_it():
    example = make_example("San Diego is warm.")
    assert names(example, random.Random(0)) == example


def test_typos_leave_numbers_names_and_quantities_unchanged():
    example = make_example(
        "Sam has twelve more apples than Nora, half of three each with worms and stickers on their skin."
    )
    for seed in range(50):
        changed = typos(example, random.Random(seed), rate=1.0).question.split()
        assert {"Sam", "twelve", "more", "Nora,", "half", "than", "three", "each"} <= set(changed)


def test_sentences_that_depend_on_the_previous_one_are_not_moved():
    example = make_example("Ann has 3 pens. Then she buys 4. She gives half of them to Bob. How many are left?")
    assert reorder(example, random.Random(0)) == example


def test_independent_sentences_are_swapped_and_first_and_last_stay():
    example = make_example("A shop sells pens. A pen costs 3 coins. A book costs 9 coins. What do two pens cost?")
    assert sentences(reorder(example, random.Random(0)).question) == [
        "A shop sells pens.",
        "A book costs 9 coins.",
        "A pen costs 3 coins.",
        "What do two pens cost?",
    ]


def test_changed_numbers_give_the_answer_of_the_new_problem():
    for e in shifted(EXAMPLES, "numbers"):
        results = [m.groups() for m in re.finditer(r"(\d+) ([-+]) (\d+) = (\d+)", e.solution)]
        assert results
        for left, sign, right, result in results:
            assert int(left) + (int(right) if sign == "+" else -int(right)) == int(result)
        assert results[-1][-1] == e.answer


def test_a_number_that_a_word_may_also_stand_for_is_not_changed():
    example = make_example("It takes 2 bolts of blue and half that much white. How many?", "2/2 = 1. 2+1 = 3.", "3")
    assert numbers(example, random.Random(0)) == example


def test_a_number_that_the_solution_writes_in_words_is_not_changed():
    example = make_example("Ann has 8 pens and 4 cups.", "Eight pens and cups: 8 + 4 = 12", "12")
    for seed in range(20):
        assert "8 pens" in numbers(example, random.Random(seed)).question


def test_a_fraction_of_the_question_is_not_changed():
    example = make_example("Ann has 20 pens and gives away 1/4.", "20 x 1/4 = 5", "5")
    for seed in range(20):
        assert "1/4" in numbers(example, random.Random(seed)).question


def test_an_answer_that_is_no_number_is_left_unchanged():
    example = Example("a1", "Ann has 5 pens and gets 4.", "5 + 4 = 9", "9", "exact")
    assert numbers(example, random.Random(0)) == example


def test_an_equation_that_does_not_hold_is_left_unchanged():
    example = make_example("Ann has 5 pens and gets 4. How many?", "5 + 4 = 8", "8")
    assert numbers(example, random.Random(0)) == example


def test_a_solution_with_an_unexplained_number_is_left_unchanged():
    example = make_example("Ann has 5 pens and gets 4. How many?", "5 + 4 = 9, in 17 ways", "9")
    assert numbers(example, random.Random(0)) == example


def test_a_suffix_comes_before_the_choices_and_changes_none_of_them():
    example = Example("a", "Who is not here?\nA) Ann\nB) Bob", "#### B", "B", "choice")
    rephrased = SHIFTS["suffix"](example, random.Random(0)).question
    assert rephrased.startswith("Who is not here? ")
    assert rephrased.endswith("\nA) Ann\nB) Bob")
