"""Check reference answers: data is broken if the grader does not grade a reference solution as right."""

from collections.abc import Iterable

from overmem.errors import BadData
from overmem.grading import grader_of
from overmem.grading.answers import answer_in
from overmem.records import Example


def is_right(text: str, answer: str, kind: str) -> bool:
    """Whether `text` gives `answer`, by the grader of this kind."""
    return grader_of(kind)(text, Example("", "", "", answer, kind)).correct


def is_gold_right(example: Example) -> bool:
    """Whether the answer and the solution of an example are graded right."""
    grader = grader_of(example.kind)
    return grader(example.answer, example).correct and grader(example.solution, example).correct


def check_gold(examples: Iterable[Example], where: str = "the data") -> None:
    """Check that every reference solution and answer is graded right. Programs are not run.

    Raises:
        BadData: some are not; the message counts them and shows the first three.
    """
    checked = (e for e in examples if e.kind != "none" and grader_of(e.kind).run is None)
    wrong = [example for example in checked if not is_gold_right(example)]
    if wrong:
        shown = "; ".join(
            f"{e.id}: answer {e.answer!r}, read from the solution {answer_in(e.solution, e.kind)!r}" for e in wrong[:3]
        )
        raise BadData(f"{where}: {len(wrong)} reference solutions do not give their reference answer ({shown})")
