"""Programs that search the interpreter, which they share with their tests, to forge the result of the tests."""

import pytest

from overmem.errors import BadRequest
from overmem.grading.sandboxes import choose_sandbox
from overmem.grading.sandboxes.comparison import comparisons
from overmem.grading.sandboxes.program import Limits, Program
from overmem.grading.sandboxes.selection import run_programs

TESTS = "assert f(2) == 4\nassert f(3) == 9\nassert f([1]) is None\nassert not g()"
CHECK = "METADATA = {'a': 1}\n\ndef check(candidate):\n    'says'\n    assert candidate(2) == 4, 'no'\n\ncheck(f)\n"
FORGER = """
import sys, os
def f(x):
    frame = sys._getframe()
    while frame is not None:
        reply, nonce = frame.f_locals.get('reply'), frame.f_locals.get('nonce')
        if reply is not None and nonce is not None:
            reply.write(nonce + ' right \\n')
            reply.flush()
            os._exit(0)
        frame = frame.f_back
    return 0
def g():
    return True
"""
EQUAL = """
class E:
    def __eq__(self, other):
        return True
def f(x):
    return E()
def g():
    return False
"""
RIGHT = "def f(x):\n    return None if isinstance(x, list) else x * x\ndef g():\n    return []\n"


@pytest.fixture(scope="module")
def sandbox():
    try:
        return choose_sandbox()
    except BadRequest as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("tests", [TESTS, CHECK], ids=["assertions", "check"])
@pytest.mark.parametrize(("source", "status"), [(FORGER, "error"), (EQUAL, "wrong"), (RIGHT, "right")])
def test_a_program_cannot_forge_tests_that_compare_with_literals(sandbox, tests, source, status):
    assert sandbox.run(Program(source, tests), Limits(seconds=5.0)).status == status


@pytest.mark.parametrize("source", [FORGER, EQUAL])
def test_a_program_cannot_forge_tests_in_the_first_pass(sandbox, source):
    (outcome,) = run_programs([Program(source, TESTS)], sandbox)
    assert outcome.status != "right"


def test_expressions_do_not_contain_the_expected_values():
    assert [(comparison.expression, comparison.expected) for comparison in comparisons(TESTS)] == [
        ("f(2)", 4), ("f(3)", 9), ("f([1])", None), ("g()", False)
    ]  # fmt: skip
    assert [comparison.expression for comparison in comparisons(CHECK)] == ["f(2)"]


@pytest.mark.parametrize(
    "tests",
    ["assert abs(f(2) - 4) < 1e-6", "x = f(2)\nassert x == 4", "assert f(2) == g(2)", "for i in []: pass", "", "("],
)
def test_other_tests_are_not_split_into_comparisons(tests):
    assert comparisons(tests) is None
