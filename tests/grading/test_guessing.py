import pytest

from overmem.grading.guessing import guessed_accuracy, lettered_choices
from overmem.records import Example


def examples(answers, kind="exact", question="q"):
    return [Example(f"e{i}", question, "s", answer, kind) for i, answer in enumerate(answers)]


@pytest.mark.parametrize(
    ("question", "count"),
    [
        ("Which?\n(A) red\n(B) green\n(C) blue\n(D) none", 4),
        ("Which?\nA) 21\nB) 21.5\nC) 22\nD) 22.5\nE) 23", 5),
        ("Which? A. red B. green", 2),
        ("Which? A: red, B: green, C: blue", 3),
        ("Points A. and B. lie on a line. Which?\n(A) 1\n(B) 2\n(C) 3", 3),
        ("Is A. Smith right?", 0),
        ("How many apples are left?", 0),
    ],
)
def test_lettered_choices_are_counted(question, count):
    assert lettered_choices(question) == count


def test_among_four_choices_a_guess_is_right_in_a_quarter():
    four = "Which? (A) red (B) green (C) blue (D) none"
    assert guessed_accuracy(examples("ABCD" * 20, "choice", four), examples("ABCD" * 5, "choice", four)) == 0.25


def test_choices_of_different_number_are_averaged():
    two = examples("AB" * 10, "choice", "Which? (A) red (B) green")
    four = examples("ABCD" * 5, "choice", "Which? (A) red (B) green (C) blue (D) none")
    assert guessed_accuracy([*two, *four]) == pytest.approx(3 / 8)


def test_of_a_few_answers_the_most_frequent_one_of_training_is_the_guess():
    val = examples(["no"] * 70 + ["yes"] * 30)
    assert guessed_accuracy(val, examples(["No."] * 60 + ["yes"] * 40)) == 0.7
    assert guessed_accuracy(val, examples(["no"] * 40 + ["yes"] * 60)) == 0.3
    assert guessed_accuracy(val) == 0.7


def test_open_answers_and_programs_cannot_be_guessed():
    assert guessed_accuracy(examples([str(i) for i in range(100)], "math")) == 0
    assert guessed_accuracy(examples(["1", "2", "2"], "math")) == 0
    assert guessed_accuracy(examples(["no", "yes"] * 50, "code")) == 0
    assert guessed_accuracy([]) == 0
