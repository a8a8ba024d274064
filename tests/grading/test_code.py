"""Grading programs by their tests in a sandbox."""

import numpy as np
import pytest

from overmem.errors import BadRequest
from overmem.grading import GRADERS, grade, graders_of
from overmem.grading.code import NOT_RUN, add_helpers, program_in
from overmem.grading.sandboxes import SANDBOXES, choose_sandbox
from overmem.records import Completions, Example

USABLE = [name for name, sandbox in SANDBOXES.items() if not sandbox.missing()]
needs_sandbox = pytest.mark.skipif(not USABLE, reason="no sandbox can be used on this machine")
DOUBLE = Example(
    "a", "Write a function double(x).", "def double(x):\n    return 2 * x\n", "assert double(21) == 42", "code"
)
PARTIAL = Example("b", 'def double(x):\n    """Twice x."""\n', "    return 2 * x\n", "assert double(21) == 42", "code")

ROOT = Example(
    "c",
    'import math\n\ndef line(a, x):\n    return a[0] + a[1] * x\n\ndef root(a):\n    """Where line(a, x) is 0."""\n',
    "    return -a[0] / a[1]\n",
    "def check(candidate):\n    for a in ([1, 2], [6, -3]):\n        assert math.fabs(line(a, candidate(a))) < 1e-6\n"
    "check(root)",
    "code",
)
"""Like HumanEval/32: its tests use a function that the question defines."""


def completions(*pairs):
    n = len(pairs)
    ids, texts = tuple(e.id for e, _ in pairs), tuple(t for _, t in pairs)
    zeros = np.zeros(n)
    return Completions(ids, np.arange(n, dtype=np.int32), zeros, texts, zeros.astype(int), zeros, ("eos",) * n)


def test_without_run_code_no_program_runs_and_the_grade_says_why(monkeypatch):
    def never(*arguments):
        raise AssertionError("a program was run")

    monkeypatch.setattr("overmem.grading.sandboxes.bubblewrap.Bubblewrap.run", never)
    monkeypatch.setattr("overmem.grading.sandboxes.sandlock.Sandlock.run", never)
    grades = grade(completions((DOUBLE, DOUBLE.solution)), [DOUBLE])
    assert grades.correct.tolist() == [False]
    assert grades.note == (f"refused: {NOT_RUN}",)
    assert graders_of([DOUBLE]) == f"code {GRADERS['code'].version}"


@needs_sandbox
def test_programs_are_graded_by_their_tests_with_their_status():
    sandbox = choose_sandbox()
    completed = completions(
        (DOUBLE, DOUBLE.solution),
        (DOUBLE, "Sure!\n```python\ndef double(x):\n    return x + x\n```\nThat is it."),
        (DOUBLE, "def double(x):\n    return x\n"),
        (DOUBLE, "I cannot do that."),
        (DOUBLE, "open('/etc/passwd').read()\n"),
        (PARTIAL, PARTIAL.solution),
        (PARTIAL, "    return x + x\n\nQuestion: what is next?"),
        (PARTIAL, "def double(x):\n    return x * 2\n"),
    )
    grades = grade(completed, [DOUBLE, PARTIAL], sandbox)
    assert grades.correct.tolist() == [True, True, False, False, False, True, True, True]
    assert [note.split(":")[0] for note in grades.note] == ["", "", "AssertionError", "error", "refused", "", "", ""]
    assert graders_of([DOUBLE], sandbox) == f"code {GRADERS['code'].version} in {sandbox.name}"


@needs_sandbox
def test_a_program_cannot_replace_a_function_of_the_question_that_its_tests_use():
    replaced = "    return 5.0\n\ndef line(a, x):\n    return 0.0\n"
    whole = "def root(a):\n    return -a[0] / a[1]\n"
    completed = completions((ROOT, ROOT.solution), (ROOT, replaced), (ROOT, whole), (ROOT, f"import math\n{whole}"))
    assert grade(completed, [ROOT], choose_sandbox()).correct.tolist() == [True, False, True, True]


def test_only_questions_whose_functions_the_tests_use_change_the_tests():
    assert add_helpers(ROOT.answer, ROOT.question).startswith("import math\ndef line(a, x):")
    for tests, question in [("assert f(1) == 2", ROOT.question), (ROOT.answer, "Find the root."), (ROOT.answer, ""),
                            (ROOT.answer, "x = 1\n"), ("(", ROOT.question)]:  # fmt: skip
        assert add_helpers(tests, question) == tests


def test_the_program_is_the_valid_part_of_a_completion():
    assert program_in("x = 1\nNow some prose here", "Say x.") == "x = 1\n"
    assert program_in("no program", "Say x.") == "no program"


def test_without_a_usable_sandbox_nothing_runs(monkeypatch):
    from overmem.grading.sandboxes import selection

    monkeypatch.setattr(selection, "SANDBOXES", {})
    choose_sandbox.cache_clear()
    with pytest.raises(BadRequest, match="no program is run"):
        choose_sandbox()
    choose_sandbox.cache_clear()
