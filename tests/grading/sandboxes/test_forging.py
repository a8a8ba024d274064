"""Programs that search the interpreter, which they share with their tests, to forge the result of the tests."""

import pytest

from overmem.errors import BadRequest
from overmem.grading.sandboxes import SANDBOXES, choose_sandbox
from overmem.grading.sandboxes.comparison import comparisons
from overmem.grading.sandboxes.monty import monty_pool, passes
from overmem.grading.sandboxes.program import Limits, Program
from overmem.grading.sandboxes.selection import run_programs

TESTS = "assert f(2) == 4\nassert f(3) == 9\nassert f([1]) is None\nassert not g()"
CHECK = "METADATA = {'a': 1}\n\ndef check(candidate):\n    'says'\n    assert candidate(2) == 4, 'no'\n\ncheck(f)\n"
FORGER = """
import sys, os
def f(x):
    frame = sys._getframe()
    while frame is not None:
        reply, nonce = frame.f_locals.get('replies'), (frame.f_locals.get('request') or {}).get('nonce')
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
    [
        "assert abs(f(2) - 4) < 1e-6",
        "x = f(2)\nassert x == 4",
        "assert f(2) == g(2)",
        "for i in []: pass",
        "(",
        "assert math.isclose(f(2), 4)",
        "assert (f(2) == 4) == True",
        "assert abs(f(2) - 4) == 0",
        "assert same(f(2), 4) == True",
        "assert all(f(x) == x for x in [1])",
    ],
)
def test_other_tests_are_not_split_into_comparisons(tests):
    assert comparisons(tests) is None


TOLERANCE = (
    "def check(candidate):\n    for x in (2.0, 3.0):\n        assert abs(candidate(x) - x * x) < 1e-6\ncheck(f)\n"
)
WITH_MATH = "import math\nassert math.isclose(f(2.0), 4.0)\nx = f(3.0)\nassert x == 9.0 and isinstance(x, float)\n"
SEARCH_FRAMES = """
import sys
def f(x):
    frame = sys._getframe()
    while frame is not None:
        for name in ('result', 'expected', 'assertions', 'tests', 'request', 'x'):
            value = frame.f_locals.get(name)
            if isinstance(value, float) and value != x:
                return value
        frame = frame.f_back
    return 0.0
"""
PATCHED = "\ndef f(x):\n    return 0.0\n"
WRITE_EVERYWHERE = """
import os
for fd in range(3, 32):
    for line in (b'right\\n', b'["value", ["atom", true], []]\\n', b'0' * 32 + b' right \\n'):
        try: os.write(fd, line)
        except OSError: pass
"""
ANYTHING = """
class Anything(float):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    def __gt__(self, other): return True
    def __le__(self, other): return True
    def __ge__(self, other): return True
    def __sub__(self, other): return Anything(0)
    def __rsub__(self, other): return Anything(0)
    def __abs__(self): return Anything(0)
    def __float__(self): return 4.0
    def __hash__(self): return 0
    def __bool__(self): return True
    def __instancecheck__(self, other): return True
"""
FORGERIES = {
    "search the frames": SEARCH_FRAMES,
    "search all objects": "import gc\ndef f(x):\n    for o in gc.get_objects():\n"
    "        if isinstance(o, dict) and o.get('status') == 'wrong':\n            o['status'] = 'right'\n"
    "        if isinstance(o, dict) and 'nonce' in o:\n            o['nonce'] = ''\n    return 0.0\n",
    "an exit handler": "import atexit, os\natexit.register(lambda: os.write(1, b'right\\n'))\n" + PATCHED,
    "exit with success": "import os\nos._exit(0)\n",
    "exit in a call": "import os\ndef f(x):\n    os._exit(0)\n",
    "raise SystemExit": "def f(x):\n    raise SystemExit(0)\n",
    "an object that equals everything": ANYTHING + "def f(x):\n    return Anything(1)\n",
    "an object that is no number": ANYTHING.replace("(float)", "") .replace("Anything(0)", "self")
    + "def f(x):\n    return Anything()\n",
    "replace abs and isclose": "import builtins, math\nbuiltins.abs = lambda x: 0\nabs = builtins.abs\n"
    "math.isclose = lambda *a, **k: True\n" + PATCHED,
    "replace isinstance and exec": "import builtins\nbuiltins.isinstance = lambda *a: True\n"
    "builtins.exec = builtins.eval = lambda *a: None\nbuiltins.compile = lambda *a: ''\n" + PATCHED,
    "replace AssertionError": "import builtins\nclass AssertionError(Exception):\n"
    "    def __init__(self, *a): pass\nbuiltins.AssertionError = AssertionError\n" + PATCHED,
    "replace names of the main module": "import sys\nmain = sys.modules['__main__']\n"
    "for name in list(vars(main)):\n    if not name.startswith('__'):\n"
    "        setattr(main, name, lambda *a, **k: ('right', ''))\n" + PATCHED,
    "replace modules of the harness": "import sys\nfor name in ('plain_data', 'peer', 'json', 'math'):\n"
    "    if name in sys.modules:\n        for key in list(vars(sys.modules[name])):\n"
    "            if not key.startswith('__'):\n                setattr(sys.modules[name], key, lambda *a: 'right')\n"
    + PATCHED,
    "write to every descriptor": WRITE_EVERYWHERE + PATCHED,
    "close every descriptor": "import os\nos.closerange(0, 64)\n" + PATCHED,
    "a trace function": "import sys\ndef trace(frame, event, value):\n"
    "    for name in ('status', 'detail', 'result'):\n        if name in frame.f_locals:\n"
    "            frame.f_locals[name] = 'right'\n    return trace\nsys.settrace(trace)\n" + PATCHED,
    "a profile function": "import sys, os\nsys.setprofile(lambda *a: None)\n" + PATCHED,
    "a signal handler": "import signal, os\nsignal.signal(signal.SIGALRM, lambda *a: os.write(1, b'right'))\n"
    "signal.setitimer(signal.ITIMER_REAL, 0.001)\n" + PATCHED,
    "replace print and open": "import builtins\nbuiltins.print = builtins.open = lambda *a, **k: 'right'\n" + PATCHED,
    "a thread that goes on": "import threading, os\ndef go():\n    while True:\n        try: os.write(3, b'right\\n')\n"
    "        except OSError: pass\nthreading.Thread(target=go, daemon=True).start()\n" + PATCHED,
    "replace the function that is tested": "def check(candidate):\n    return True\n" + PATCHED,
    "a check of its own": "def check(*a): pass\nx = 9.0\n" + PATCHED + "f.__code__ = (lambda x: 0.0).__code__\n",
}  # fmt: skip
"""How a program could try to pass tests that it does not satisfy."""


def forged(sandbox, name):
    return [sandbox.run(Program(FORGERIES[name], tests), Limits(seconds=1.0)) for tests in (TOLERANCE, WITH_MATH)]


@pytest.mark.parametrize("name", ["an object that equals everything", "replace abs and isclose"])
def test_a_program_cannot_forge_tests_that_run_in_another_process(sandbox, name):
    assert "right" not in [outcome.status for outcome in forged(sandbox, name)]


@pytest.mark.slow
@pytest.mark.parametrize("name", FORGERIES)
@pytest.mark.parametrize("wall", SANDBOXES)
def test_no_forgery_passes_in_any_sandbox(wall, name):
    if reason := SANDBOXES[wall].missing():
        pytest.skip(reason)
    assert "right" not in [outcome.status for outcome in forged(SANDBOXES[wall], name)]


@pytest.mark.parametrize("name", FORGERIES)
def test_no_forgery_passes_in_the_first_pass(name):
    tests = "assert f(2.0) == 4.0\nassert f(3.0) == 9.0"
    with monty_pool(Limits(seconds=1.0)) as pool:
        if pool is None:
            pytest.skip("Monty is not installed")
        assert not passes(pool, Program(FORGERIES[name], tests), Limits(seconds=1.0))
        assert not passes(pool, Program("def f(x):\n    return x * x\n", TOLERANCE), Limits(seconds=1.0))


BEHAVIOURS = {
    "objects of the program's classes": (
        "class Node:\n    def __init__(self, v):\n        self.v, self.next = v, None\n"
        "def length(n):\n    return 0 if n is None else 1 + length(n.next)\n",
        "root = Node(1)\nroot.next = Node(2)\nassert length(root) == 2 and root.next.v == 2",
    ),
    "arguments that the program changes": ("def order(x):\n    x.sort()\n", "x = [3, 1]\norder(x)\nassert x == [1, 3]"),
    "functions as arguments": ("def twice(g, x):\n    return g(g(x))\n", "assert twice(lambda x: x + 1, 1) == 3"),
    "iterators": ("def ones():\n    yield 1\n    yield 2\n", "assert [x + 1 for x in ones()] == [2, 3]"),
    "exceptions": (
        "class Bad(ValueError): pass\ndef f(x):\n    raise Bad('bad')\n",
        "try:\n    f(1)\n    assert False\nexcept ValueError as error:\n    assert str(error) == 'bad'",
    ),
    "modules that only the program imports": (
        "import math\ndef f(x):\n    return x / 3\n",
        "assert math.isclose(f(1), 1 / 3)",
    ),
    "large integers": ("def f(x):\n    return 10 ** x\n", "y = 6000\nassert f(y) == 10 ** y"),
}  # fmt: skip


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_tests_in_another_process_see_what_they_would_see_in_the_same(sandbox, name):
    source, tests = BEHAVIOURS[name]
    assert sandbox.run(Program(source, tests), Limits(seconds=2.0)).status == "right"
