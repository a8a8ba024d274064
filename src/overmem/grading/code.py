"""Grades programs by running their tests, behind a wall and only where that was asked for.

An example of kind `code` carries its tests as its answer: statements that run after the program. The program of a
completion is its first fenced block of Python; or its longest beginning that parses; or, where the question is the
beginning of a function (HumanEval), question and completion together.
"""

import ast
import re
from collections.abc import Sequence

from overmem.grading.grade import Grade
from overmem.grading.walls.program import Limits, Outcome, Program, Wall
from overmem.grading.walls.selection import run_programs
from overmem.records import Example

NOT_RUN = "programs are run with --run-code only"
_FENCE = re.compile(r"```[ \t]*(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.S | re.I)
_MOST_LINES = 400
"""Lines of a completion that are tried as a program."""


def not_run(text: str, example: Example) -> Grade:
    """No grade: a program that a model wrote is not run unless somebody asks for it.

    Source: Chen et al. 2021, https://arxiv.org/abs/2107.03374 (tests decide whether a program is right).
    """
    return Grade("refused", reason=NOT_RUN)


def grade_programs(texts: Sequence[str], examples: Sequence[Example], wall: Wall, limits: Limits) -> list[Grade]:
    """The grade of every completion, in their order, several at once.

    Args:
        texts: completions.
        examples: of each, the example with its question and its tests.
        wall: one that was seen to deny.
        limits: of each program.
    """
    programs = [Program(program_in(t, e.question), e.answer) for t, e in zip(texts, examples, strict=True)]
    return [_grade(p, o) for p, o in zip(programs, run_programs(programs, wall, limits), strict=True)]


def program_in(text: str, question: str) -> str:
    r"""The program that a completion gives.

    >>> program_in("Here it is:\n```python\ndef f():\n    return 1\n```\nDone.", "Write f.")
    'def f():\n    return 1\n'
    >>> program_in("    return 1\n\nQuestion: and now?", "def f():\n")
    'def f():\n    return 1\n'
    """
    fenced = _FENCE.search(text)
    body = fenced[1] if fenced else text
    begun = _functions(f"{question.rstrip()}\n    pass\n")
    if begun and not begun & _functions(_parsing_part("", body)):
        return _parsing_part(question if question.endswith("\n") else f"{question}\n", body)
    return _parsing_part("", body)


def _parsing_part(beginning: str, text: str) -> str:
    """`beginning` with as many lines of `text` as parse; with all of them where none do, so that the error is shown."""
    lines = text.splitlines(keepends=True)[:_MOST_LINES]
    for count in range(len(lines), 0, -1):
        program = beginning + "".join(lines[:count])
        if _tree(program) is not None:
            return f"{program.rstrip()}\n"
    return beginning + text


def _functions(source: str) -> set[str]:
    tree = _tree(source)
    return set() if tree is None else {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}


def _tree(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _grade(program: Program, outcome: Outcome) -> Grade:
    """The program itself is the answer, without its layout: equal programs of one question are written alike."""
    tree = _tree(program.source)
    written = program.source if tree is None else ast.unparse(tree)
    return Grade(outcome.status, answer=written, reason=outcome.detail if outcome.status != "right" else "")
