"""Grading: what answer a completion gives, and whether it is right. One grader a kind of answer, one literal table.

A stage of its own, after the model and before the probes: grades lie in a file beside the completions, named by their
grader's version, so a mended grader grades every old completion again without a model.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from overmem.grading.answers import choice, exact, math
from overmem.grading.code import grade_programs, not_run
from overmem.grading.grade import STATUSES, Grade, Grader, grader_from
from overmem.grading.walls.program import Limits, Wall
from overmem.records import Completions, Example, Grades, Samples
from overmem.tables import resolve

__all__ = ["GRADERS", "STATUSES", "Grade", "Grader", "grade", "graded", "grader_of", "graders_of"]

GRADERS: Final[Mapping[str, Grader]] = {
    "math": Grader(math, version="2"),
    "choice": Grader(choice, version="2"),
    "exact": Grader(exact, version="2"),
    "code": Grader(not_run, version="1", run=grade_programs),
}
"""Every grader by kind of answer. One of your own is "module:function" and needs no line here."""


def grader_of(kind: str) -> Grader:
    """The grader of this kind of answer.

    Raises:
        BadRequest: neither in the table nor importable; the message lists the table.
    """
    found: Any = resolve(GRADERS, kind, "kind of answer")
    return found if isinstance(found, Grader) else grader_from(found)


def graders_of(examples: Iterable[Example], wall: Wall | None = None) -> str:
    """The graders of these examples with their versions, as grades are named after them: "choice 1, math 1".

    Programs that are run add the wall that they run behind: "code 1 behind bubblewrap".
    """
    kinds = sorted({example.kind for example in examples} - {"none"})
    graders = {kind: grader_of(kind) for kind in kinds}
    behind = {kind: f" behind {wall.name}" for kind, grader in graders.items() if wall is not None and grader.run}
    return ", ".join(f"{kind} {grader.version}{behind.get(kind, '')}" for kind, grader in graders.items())


def grade(
    completions: Completions, examples: Sequence[Example], wall: Wall | None = None, limits: Limits | None = None
) -> Grades:
    """The grade of every completion, in its order.

    Args:
        completions: of one split at one checkpoint.
        examples: those of the split, with their reference answers.
        wall: where programs run; without one they are not run.
        limits: of each program.
    """
    by_id = {example.id: example for example in examples}
    places: dict[str, list[int]] = {}
    for place, identity in enumerate(completions.example_ids):
        places.setdefault(by_id[identity].kind, []).append(place)
    graded: dict[int, Grade] = {}
    for kind, here in places.items():
        grader, texts = grader_of(kind), [completions.text[i] for i in here]
        of_each = [by_id[completions.example_ids[i]] for i in here]
        if wall is not None and grader.run is not None:
            grades = grader.run(texts, of_each, wall, limits or Limits())
        else:
            grades = [grader(text, example) for text, example in zip(texts, of_each, strict=True)]
        graded |= dict(zip(here, grades, strict=True))
    in_order = [graded[i] for i in range(len(completions.text))]
    return Grades(
        completions.example_ids,
        completions.draw,
        tuple(one.answer for one in in_order),
        np.array([one.correct for one in in_order], dtype=bool),
        tuple(_note(one) for one in in_order),
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
