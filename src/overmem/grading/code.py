"""Grade programs by running their tests in a sandbox, only with --run-code.

The answer of an example of kind `code` is its tests: statements that run after the program. The program of a completion
is its first fenced block of Python, or its longest prefix of valid lines; if the question is the start of a function
(HumanEval), it is the question followed by the completion.
"""

import ast
import re
from collections.abc import Sequence

from overmem.grading.grade import Grade
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
    programs = [Program(program_in(t, e.question), e.answer) for t, e in zip(texts, examples, strict=True)]
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
    headers = _defined_names(f"{question.rstrip()}\n    pass\n")
    if headers and not headers & _defined_names(_longest_valid_program("", body)):
        return _longest_valid_program(question if question.endswith("\n") else f"{question}\n", body)
    return _longest_valid_program("", body)


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
