"""Reading answers from texts and comparing them with the reference."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.errors import BadData, BadRequest
from overmem.grading import GRADERS
from overmem.grading.answers import answer_in, is_correct, marked_answer
from overmem.grading.golds import check_gold, is_gold_right
from overmem.records import Example

TEXT_KINDS = sorted(kind for kind, grader in GRADERS.items() if grader.run is None)


def example(**changes: str) -> Example:
    fields = {"id": "a", "question": "How many?", "solution": "3+4=7\n#### 7", "answer": "7"}
    return Example(**{**fields, **changes})


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3+4=<<3+4=7>>7\n#### 7", "7"),
        ("#### 1,234", "1234"),
        ("#### $18.00", "18"),
        (r"so the value is $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        (r"nested \boxed{\sqrt{\frac{3}{4}}} braces", r"\sqrt{\frac{3}{4}}"),
        (r"\boxed 5 is TeX too", "5"),
        (r"first \boxed{3}, then \boxed{4}", "4"),
        (r"\boxed{44}. We may check our answer: $17\cdot 44 = 748$, so our answer is correct.", "44"),
        ("The answer is: 72", "72"),
        ("The final answer is $3.14.", "3.14"),
        ("The answer is 5 because 2+3=5.", "5"),
        ("The answer is 2 + 3 = 5", "5"),
        ("**Answer:** 42", "42"),
        ("### **Final Answer**: 42 apples in 3 bags", "42"),
        ("<think>maybe 3</think><answer> 12 </answer> as I said", "12"),
        ("#### Step 2: add\nwhich gives 7", "7"),
        ("#### 7\n\nQuestion: what is 4+5?\nAnswer: 4+5=9\n#### 9", "7"),
        ("She has 5-3=2 left.", "2"),
        ("He pays $1,250.50 in all.", "1250.5"),
        ("I do not know.", ""),
        ("", ""),
        (r"a box that does not close: \boxed{7", "7"),
    ],
)
def test_a_mathematical_answer_is_read_from_its_mark_or_is_the_last_number(text: str, answer: str) -> None:
    assert answer_in(text, "math") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is B.", "B"),
        ("Answer: (c)", "C"),
        ("A is wrong, so the answer is (D) since", "D"),
        ("**B**", "B"),
        ("I think that (A) fails, hence (B)", "B"),
        ("A dog is a pet.", ""),
        ("#### E", "E"),
    ],
)
def test_a_choice_is_a_letter_and_an_article_is_not(text: str, answer: str) -> None:
    assert answer_in(text, "choice") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("the correct answer is answer1", "answer1"),
        ("It follows.\n#### Riley is a knight, and Bo is a knave.", "Riley is a knight, and Bo is a knave"),
        ("The answer is\n(1) Riley is a knight\n(2) Bo is a knave", "(1) Riley is a knight\n(2) Bo is a knave"),
        ("#### 2 1\n1 2\n\nI am done.", "2 1\n1 2"),
        ("Let us see.\nParis", "Paris"),
    ],
)
def test_an_exact_answer_is_read_after_the_mark_or_from_the_last_line(text: str, answer: str) -> None:
    assert answer_in(text, "exact") == answer


def test_a_user_defined_mark_is_tried_before_the_usual_ones() -> None:
    assert answer_in("Result -> 8 apples\nThe answer is 9", after="Result ->") == "8"


def test_a_mark_without_an_answer_falls_back_to_the_one_before() -> None:
    assert marked_answer("#### 5\nThe answer is") == "5"


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_no_answer_is_never_right(kind: str) -> None:
    assert not is_correct("", "", kind)
    assert not is_correct("7", "", kind)
    assert not is_correct("  ", "A", kind)


def test_only_the_final_answer_of_a_text_counts() -> None:
    assert is_correct("7 - 3 = 4\n#### 4", "4")
    assert not is_correct("7 - 3 = 4\n#### 5", "4")
    assert is_correct("I choose B. The answer is (C).", "C", "choice")
    assert not is_correct("I choose B. The answer is (C).", "B", "choice")


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("(1) Zoey is a knight\n(2) Bo is a knave", True),
        ("Bo is a knave, and Zoey is a knight.", True),
        ("(2) Zoey is a knight (1) Bo is a knave", True),
        ("zoey IS a Knight; bo is a knave", True),
        ("Zoey is a knight. Bo is a knave.", True),
        ("Zoey is a knave, and Bo is a knight", False),
        ("Zoey is a knight", False),
    ],
)
def test_lists_of_identities_may_be_in_any_order(text: str, right: bool) -> None:
    assert is_correct(text, "Zoey is a knight, and Bo is a knave.", "exact") is right


def test_the_order_of_any_other_list_matters() -> None:
    assert not is_correct("a, b", "b, a", "exact")
    assert is_correct(" B, A. ", "b, a", "exact")


def test_an_unknown_kind_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(BadRequest, match="choice, code, exact, math"):
        is_gold_right(example(kind="number"))


def test_a_solution_for_a_user_defined_grader_is_read_as_text() -> None:
    assert answer_in("so\n#### a, b", "mypackage:grade") == answer_in("so\n#### a, b", "exact") == "a, b"


def test_a_reference_answer_that_contradicts_its_solution_is_an_error() -> None:
    check_gold([example()])
    with pytest.raises(BadData, match=r"1 reference solutions.*b: answer '8', read from the solution '7'"):
        check_gold([example(), example(id="b", answer="8")])
    assert not is_gold_right(example(answer=""))


@given(st.text(max_size=300), st.text(max_size=60), st.sampled_from(TEXT_KINDS))
@settings(deadline=None, derandomize=True, max_examples=300)
def test_reading_and_comparing_never_raise_for_any_text(text: str, gold: str, kind: str) -> None:
    assert isinstance(answer_in(text, kind), str)
    assert is_correct(text, gold, kind) in (True, False)


PIECES = [
    "\\boxed{",
    "}",
    "#### ",
    "The answer is ",
    "$",
    "\\frac",
    "{",
    "^",
    "9",
    "!",
    "1/0",
    "(",
    ",",
    "A",
    "\n",
    "=",
    "e99",
]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.sampled_from(TEXT_KINDS))
@settings(deadline=None, derandomize=True, max_examples=300)
def test_reading_and_comparing_never_raise_for_broken_mathematics(text: str, kind: str) -> None:
    assert isinstance(answer_in(text, kind), str)
    assert is_correct(text, "1/2", kind) in (True, False)


@given(
    st.integers(-(10**9), 10**9),
    st.sampled_from(["#### {}", "The answer is {}.", "\\boxed{{{}}}", "so it is {:,}", "#### ${:,}"]),
)
@settings(deadline=None, derandomize=True)
def test_an_integer_is_read_in_every_spelling(value: int, written: str) -> None:
    assert is_correct(written.format(value), str(value))
    assert not is_correct(written.format(value), str(value + 1))
