import numpy as np
import pytest

from overmem.errors import BadRequest
from overmem.grading import GRADERS, grade, graders_of
from overmem.grading.code import NOT_RUN, program_in
from overmem.grading.sandboxes import SANDBOXES, choose_sandbox
from overmem.records import Completions, Example

USABLE = [name for name, sandbox in SANDBOXES.items() if not sandbox.missing()]
needs_sandbox = pytest.mark.skipif(not USABLE, reason="no sandbox can be used on this machine")
DOUBLE = Example(
    "a", "Write a function double(x).", "def double(x):\n    return 2 * x\n", "assert double(21) == 42", "code"
)
BEGUN = Example("b", 'def double(x):\n    """Twice x."""\n', "    return 2 * x\n", "assert double(21) == 42", "code")


def completions(*pairs):
    n = len(pairs)
    ids, texts = tuple(e.id for e, _ in pairs), tuple(t for _, t in pairs)
    zeros = np.zeros(n)
    return Completions(ids, np.arange(n, dtype=np.int32), zeros, texts, zeros.astype(int), zeros, ("eos",) * n)


def test_without_permission_no_program_runs_and_the_grade_says_why(monkeypatch):
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
        (BEGUN, BEGUN.solution),
        (BEGUN, "    return x + x\n\nQuestion: what is next?"),
        (BEGUN, "def double(x):\n    return x * 2\n"),
    )
    grades = grade(completed, [DOUBLE, BEGUN], sandbox)
    assert grades.correct.tolist() == [True, True, False, False, False, True, True, True]
    assert [note.split(":")[0] for note in grades.note] == ["", "", "AssertionError", "error", "refused", "", "", ""]
    assert graders_of([DOUBLE], sandbox) == f"code {GRADERS['code'].version} behind {sandbox.name}"


def test_equal_programs_are_one_answer_however_they_are_laid_out():
    assert program_in("x = 1\nNow some prose here", "Say x.") == "x = 1\n"
    assert program_in("no program", "Say x.") == "no program"


def test_a_sandbox_that_cannot_be_relied_on_ends_the_audit_before_anything_runs(monkeypatch):
    from overmem.grading.sandboxes import selection

    monkeypatch.setattr(selection, "SANDBOXES", {})
    choose_sandbox.cache_clear()
    with pytest.raises(BadRequest, match="no program is run"):
        choose_sandbox()
    choose_sandbox.cache_clear()
