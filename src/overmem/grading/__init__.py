"""Grading: extract the answer of a completion and decide whether it is right. One grader per kind of answer.

Grading is a separate stage between observing and probing. Grades are stored in a file next to the completions together
with the grader's version, so after a change of the grader old completions are graded again without a model.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from overmem.grading.answers import choice, exact, math
from overmem.grading.code import grade_programs, not_run
from overmem.grading.grade import STATUSES, Grade, Grader, grader_from
from overmem.grading.sandboxes.program import Limits, Sandbox
from overmem.records import Completions, Example, Grades, Samples
from overmem.tables import resolve

__all__ = ["GRADERS", "STATUSES", "Grade", "Grader", "grade", "grader_of", "graders_of", "with_grades"]

GRADERS: Final[Mapping[str, Grader]] = {
    "math": Grader(math, version="3"),
    "choice": Grader(choice, version="2"),
    "exact": Grader(exact, version="2"),
    "code": Grader(not_run, version="4", run=grade_programs),
}
"""Kind of answer -> grader. "module:function" names a grader that is not in the table."""


def grader_of(kind: str) -> Grader:
    """The grader of this kind of answer.

    Raises:
        BadRequest: it is neither in the table nor importable; the message lists the table.
    """
    grader: Any = resolve(GRADERS, kind, "kind of answer")
    return grader if isinstance(grader, Grader) else grader_from(grader)


def graders_of(examples: Iterable[Example], sandbox: Sandbox | None = None) -> str:
    """The graders of these examples with their versions, as stored with grades: "choice 1, math 1".

    If programs are run, the sandbox is included: "code 2 in bubblewrap".
    """
    kinds = sorted({example.kind for example in examples} - {"none"})
    graders = {kind: grader_of(kind) for kind in kinds}
    sandbox_suffix = {
        kind: f" in {sandbox.name}" for kind, grader in graders.items() if sandbox is not None and grader.run
    }
    return ", ".join(f"{kind} {grader.version}{sandbox_suffix.get(kind, '')}" for kind, grader in graders.items())


def grade(
    completions: Completions, examples: Sequence[Example], sandbox: Sandbox | None = None, limits: Limits | None = None
) -> Grades:
    """The grade of every completion, in the same order.

    Args:
        completions: the completions of one split at one checkpoint.
        examples: the examples of the split, with their reference answers.
        sandbox: the sandbox for programs; without one they are not run.
        limits: limits of each program.
    """
    by_id = {example.id: example for example in examples}
    rows_of_kind: dict[str, list[int]] = {}
    for row, example_id in enumerate(completions.example_ids):
        rows_of_kind.setdefault(by_id[example_id].kind, []).append(row)
    by_row: dict[int, Grade] = {}
    for kind, rows in rows_of_kind.items():
        grader, texts = grader_of(kind), [completions.text[i] for i in rows]
        references = [by_id[completions.example_ids[i]] for i in rows]
        if sandbox is not None and grader.run is not None:
            grades = grader.run(texts, references, sandbox, limits or Limits())
        else:
            grades = [grader(text, example) for text, example in zip(texts, references, strict=True)]
        by_row |= dict(zip(rows, grades, strict=True))
    in_order = [by_row[i] for i in range(len(completions.text))]
    return Grades(
        completions.example_ids,
        completions.draw,
        tuple(row.answer for row in in_order),
        np.array([row.correct for row in in_order], dtype=bool),
        tuple(_note(row) for row in in_order),
    )


def with_grades(completions: Completions, examples: Sequence[Example]) -> Samples:
    """The completions with their grades."""
    grades = grade(completions, examples)
    columns = {name: getattr(completions, name) for name in Completions.__dataclass_fields__}
    return Samples(**columns, answer=grades.answer, correct=grades.correct)


def _note(grade_: Grade) -> str:
    """The reason, preceded by the status unless it is `right` or `wrong`."""
    status = "" if grade_.status in ("right", "wrong") else grade_.status
    return ": ".join(part for part in (status, grade_.reason) if part)
