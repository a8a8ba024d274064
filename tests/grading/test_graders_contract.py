"""Contract tests: what holds for every grader in the table, and for a user-defined one."""

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

from overmem import probes
from overmem.errors import BadRequest
from overmem.grading import GRADERS, STATUSES, Grade, Grader, grade, grader_of, graders_of
from overmem.records import Completions, Example

TEXT_KINDS = [kind for kind, grader in GRADERS.items() if grader.run is None]
"""Graders that read an answer; the others run a program and have tests of their own."""
ANSWERS = {"math": "42", "choice": "B", "exact": "Paris"}


def example(kind, answer=None):
    return Example("a", "?", "", answer or ANSWERS[kind], kind)


def completions(*texts, ids=None):
    n = len(texts)
    zeros = np.zeros(n)
    ids = ids or ("a",) * n
    return Completions(ids, np.arange(n, dtype=np.int32), zeros, texts, zeros.astype(int), zeros, ("eos",) * n)


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_the_reference_answer_is_right_and_is_the_recorded_answer(kind):
    grade = grader_of(kind)(f"The answer is {ANSWERS[kind]}.", example(kind))
    assert grade == Grade("right", ANSWERS[kind])
    assert grade.correct


@pytest.mark.parametrize("kind", TEXT_KINDS)
@pytest.mark.parametrize("text", ["", " ", "I do not know.", "\\boxed{", "####", "\x00", "答案"])
def test_a_text_without_the_answer_is_wrong_and_raises_nothing(kind, text):
    grade = grader_of(kind)(text, example(kind))
    assert (grade.status, grade.correct) == ("wrong", False)
    assert grade.status in STATUSES


@pytest.mark.parametrize("kind", GRADERS)
def test_every_grader_has_a_version_and_documents_its_source(kind):
    assert GRADERS[kind].version
    assert "Source:" in inspect.getdoc(GRADERS[kind].grade)


def test_equal_right_answers_are_recorded_with_the_same_text():
    grades = grade(completions("so 1/2", "#### 0.5", "\\boxed{\\frac12}", "#### 7"), [example("math", "0.50")])
    assert grades.answer == ("0.5", "0.5", "0.5", "7")
    assert grades.correct.tolist() == [True, True, True, False]


def test_grades_are_in_the_order_of_the_completions_and_use_the_grader_of_each_kind():
    examples = [Example("a", "?", "", "42", "math"), Example("b", "?", "", "B", "choice")]
    grades = grade(completions("It is (B).", "It is 42.", ids=("b", "a")), examples)
    assert grades.answer == ("B", "42")
    assert grades.correct.all()
    assert graders_of(examples) == f"choice {GRADERS['choice'].version}, math {GRADERS['math'].version}"


def test_a_status_other_than_right_or_wrong_is_noted(monkeypatch):
    slow = Grader(lambda text, example: Grade("timeout", reason="5 s"), "1")
    monkeypatch.setitem(vars(sys.modules["overmem.grading"]), "GRADERS", {"math": slow})
    grades = grade(completions("..."), [example("math")])
    assert (grades.note, grades.correct.tolist()) == (("timeout: 5 s",), [False])


def test_the_version_of_a_user_defined_grader_is_a_hash_of_its_source(tmp_path, monkeypatch):
    path = tmp_path / "my_grader.py"
    path.write_text("from overmem.grading import Grade\n\ndef grade(text, example):\n    return Grade('right')\n")
    monkeypatch.syspath_prepend(tmp_path)
    first = grader_of("my_grader:grade")
    assert first("anything", example("math")).correct
    path.write_text(path.read_text().replace("'right'", "'wrong'"))
    del sys.modules["my_grader"]
    (tmp_path / "__pycache__").exists() and [p.unlink() for p in (tmp_path / "__pycache__").iterdir()]
    second = grader_of("my_grader:grade")
    assert first.version != second.version
    with pytest.raises(
        BadRequest, match="unknown kind of answer 'proof'; allowed: choice, code, exact, math, module:funct"
    ):
        grader_of("proof")


def test_no_probe_grades():
    for path in Path(probes.__file__).parent.glob("*.py"):
        assert "overmem.grading" not in path.read_text(), path
