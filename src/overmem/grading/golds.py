"""Reference answers, graded as a completion would be: one that is not right by its own grader is broken data."""

from collections.abc import Iterable

from overmem.errors import BadData
from overmem.grading import grader_of
from overmem.grading.answers import answer_in
from overmem.records import Example


def is_right(text: str, answer: str, kind: str) -> bool:
    """Whether `text` gives the reference answer, by the grader of this kind."""
    return grader_of(kind)(text, Example("", "", "", answer, kind)).correct


def gold_scores(example: Example) -> bool:
    """Whether the example's own answer and its solution are graded right."""
    grader = grader_of(example.kind)
    return grader(example.answer, example).correct and grader(example.solution, example).correct


def check_gold(examples: Iterable[Example], where: str = "the data") -> None:
    """Return if every reference solution and every reference answer is graded right. Programs are not run for that.

    Raises:
        BadData: some are not; the message counts them and shows the first three.
    """
    read = (e for e in examples if e.kind != "none" and grader_of(e.kind).run is None)
    wrong = [example for example in read if not gold_scores(example)]
    if wrong:
        shown = "; ".join(
            f"{e.id}: answer {e.answer!r}, read from the solution {answer_in(e.solution, e.kind)!r}" for e in wrong[:3]
        )
        raise BadData(f"{where}: {len(wrong)} reference solutions do not give their own answer ({shown})")
