"""Grading: what answer a completion gives, and whether it is right. One grader a kind of answer, one literal table.

A stage of its own, after the model and before the probes: grades lie in a file beside the completions, named by their
grader's version, so a mended grader grades every old completion again without a model.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from overmem.grading.answers import choice, exact, math
from overmem.grading.grade import STATUSES, Grade, Grader, grader_from
from overmem.records import Completions, Example, Grades, Samples
from overmem.tables import resolve

__all__ = ["GRADERS", "STATUSES", "Grade", "Grader", "grade", "graded", "grader_of", "graders_of"]

GRADERS: Final[Mapping[str, Grader]] = {
    "math": Grader(math, version="1"),
    "choice": Grader(choice, version="1"),
    "exact": Grader(exact, version="1"),
}
"""Every grader by kind of answer. One of your own is "module:function" and needs no line here."""


def grader_of(kind: str) -> Grader:
    """The grader of this kind of answer.

    Raises:
        BadRequest: neither in the table nor importable; the message lists the table.
    """
    found: Any = resolve(GRADERS, kind, "kind of answer")
    return found if isinstance(found, Grader) else grader_from(found)


def graders_of(examples: Iterable[Example]) -> str:
    """The graders of these examples with their versions, as grades are named after them: "choice 1, math 1"."""
    kinds = sorted({example.kind for example in examples} - {"none"})
    return ", ".join(f"{kind} {grader_of(kind).version}" for kind in kinds)


def grade(completions: Completions, examples: Sequence[Example]) -> Grades:
    """The grade of every completion, in its order.

    Args:
        completions: of one split at one checkpoint.
        examples: those of the split, with their reference answers.
    """
    by_id = {example.id: example for example in examples}
    graded = [
        grader_of(by_id[identity].kind)(text, by_id[identity])
        for identity, text in zip(completions.example_ids, completions.text, strict=True)
    ]
    return Grades(
        completions.example_ids,
        completions.draw,
        tuple(one.answer for one in graded),
        np.array([one.correct for one in graded], dtype=bool),
        tuple(_note(one) for one in graded),
    )


def graded(completions: Completions, examples: Sequence[Example]) -> Samples:
    """The completions with their grades."""
    grades = grade(completions, examples)
    columns = {name: getattr(completions, name) for name in Completions.__dataclass_fields__}
    return Samples(**columns, answer=grades.answer, correct=grades.correct)


def _note(one: Grade) -> str:
    """The reason, after the status where that says more than `correct` does."""
    says_more = one.status not in ("right", "wrong")
    return ": ".join(part for part in (one.status if says_more else "", one.reason) if part)
