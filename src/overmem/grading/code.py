"""Grade programs by running their tests in a sandbox, only with --run-code.

The answer of an example of kind `code` is its tests: statements that run after the program. The program of a completion
is its first fenced block of Python, or its longest prefix of valid lines; if the question is the start of a function
(HumanEval), it is the question followed by the completion. Functions that such a question defines for its tests are put
before the tests, so that a program cannot replace them.
"""

import ast
import re
from collections.abc import Sequence

from overmem.grading.grade import Grade
from overmem.grading.sandboxes.comparison import names_in_program
from overmem.grading.sandboxes.program import Limits, Outcome, Program, Sandbox
from overmem.grading.sandboxes.selection import run_programs
from overmem.records import Example

NOT_RUN = "programs run only with --run-code"
_FENCE = re.compile(r"```[ \t]*(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.S | re.I)
_MAX_LINES = 400
"""Maximum number of lines of a completion that are read."""


def not_run(text: str, example: Example) -> Grade:
    """No grade: programs run only with --run-code.

    Source: Chen et al. 2021, https://arxiv.org/abs/2107.03374 (tests decide whether a program is right).
    """
    return Grade("refused", reason=NOT_RUN)


def grade_programs(texts: Sequence[str], examples: Sequence[Example], sandbox: Sandbox, limits: Limits) -> list[Grade]:
    """The grade of every completion, in the same order; programs run in parallel.

    Args:
        texts: the completions.
        examples: the example of each completion, with its question and tests.
        sandbox: a sandbox that passed its check.
        limits: limits of each program.
    """
    programs = [
        Program(program_in(t, e.question), add_helpers(e.answer, e.question))
        for t, e in zip(texts, examples, strict=True)
    ]
    return [_grade(p, o) for p, o in zip(programs, run_programs(programs, sandbox, limits), strict=True)]


def program_in(text: str, question: str) -> str:
    r"""The program in a completion.

    >>> program_in("Here it is:\n```python\ndef f():\n    return 1\n```\nDone.", "Write f.")
    'def f():\n    return 1\n'
    >>> program_in("    return 1\n\nQuestion: and now?", "def f():\n")
    'def f():\n    return 1\n'
    """
    fenced = _FENCE.search(text)
    body = fenced[1] if fenced else text
    headers = _defined_names(_as_function(question))
    if headers and not headers & _defined_names(_longest_valid_program("", body)):
        return _longest_valid_program(question if question.endswith("\n") else f"{question}\n", body)
    return _longest_valid_program("", body)


def add_helpers(tests: str, question: str) -> str:
    r"""The tests, after the statements before a question's last function if the tests use names defined there.

    >>> print(add_helpers("assert twice(f(1)) == 4", "def twice(x):\n    return 2 * x\ndef f(x):\n"))
    def twice(x):
        return 2 * x
    assert twice(f(1)) == 4
    >>> add_helpers("assert f(1) == 2", "def twice(x):\n    return 2 * x\ndef f(x):\n")
    'assert f(1) == 2'
    """
    tree = _tree(_as_function(question))
    if tree is None or not tree.body or not isinstance(tree.body[-1], ast.FunctionDef):
        return tests
    helpers = [node for node in tree.body[:-1] if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    if not {node.name for node in helpers} & set(names_in_program(tests)[0]):
        return tests
    return "\n".join([*map(ast.unparse, tree.body[:-1]), tests])


def _as_function(question: str) -> str:
    """A question that ends in a function without a body, with one."""
    return f"{question.rstrip()}\n    pass\n"


def _longest_valid_program(prefix: str, text: str) -> str:
    """`prefix` and as many lines of `text` as are valid Python; all lines if none are, to report the error."""
    lines = text.splitlines(keepends=True)[:_MAX_LINES]
    for count in range(len(lines), 0, -1):
        program = prefix + "".join(lines[:count])
        if _tree(program) is not None:
            return f"{program.rstrip()}\n"
    return prefix + text


def _defined_names(source: str) -> set[str]:
    tree = _tree(source)
    return set() if tree is None else {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}


def _tree(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _grade(program: Program, outcome: Outcome) -> Grade:
    """The grade of an outcome. The answer is the program without its formatting, so equal programs are equal text."""
    tree = _tree(program.source)
    text = program.source if tree is None else ast.unparse(tree)
    return Grade(outcome.status, answer=text, reason=outcome.detail if outcome.status != "right" else "")
