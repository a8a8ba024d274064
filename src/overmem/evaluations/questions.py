"""The questions of logs as examples: from the data set's own columns if the log has them, else from the prompt."""

from collections.abc import Iterable, Mapping, Sequence

from overmem.errors import OvermemError
from overmem.evaluations.log import EvaluationLog, LoggedQuestion
from overmem.grading import GRADERS
from overmem.records import Example
from overmem.tasks.data import Data, Row
from overmem.tasks.parsing import content_id, parse_rows


def examples_by_key(logs: Sequence[EvaluationLog]) -> dict[str, Example]:
    """Key of a question -> its example.

    The example equals the one that `overmem audit` makes of the same row, so both have the same id.
    """
    questions = {question.key: question for log in logs for question in log.questions}
    # Of several tasks on one document, the one with completions has the question as its prompt.
    questions |= {q.key: q for log in logs for q in log.questions if q.completions}
    kind = _kind([Row(question.key, 1, dict(question.row)) for question in questions.values() if not question.kind])
    return {key: _example(question, kind) for key, question in questions.items()}


def _kind(rows: Sequence[Row]) -> str:
    """How the answers of these rows are graded; empty if overmem does not recognize their layout."""
    if not rows:
        return ""
    try:
        return parse_rows(rows, Data(drop_broken=True), {}, append_answers=False).kind
    except OvermemError:
        return ""


def _example(question: LoggedQuestion, kind: str) -> Example:
    if kind and not question.kind:
        try:
            parsed = parse_rows([Row(question.key, 1, dict(question.row))], Data(), {}, kind, append_answers=False)
            return parsed.examples[0]
        except OvermemError:
            pass  # the layout of this row is not recognized: use the prompt and target of the harness
    text = question.prompt or str(question.row.get("question", question.key))
    solution = question.target if question.nll is not None else ""
    grader = question.kind or (kind if kind in GRADERS else "exact")
    return Example(content_id(text), text, solution, question.target.strip(), grader)


def matched(examples: Mapping[str, Example], audited: Iterable[Example]) -> tuple[dict[str, Example], list[str]]:
    """Key -> the same question's example in an audited split; and the keys of the questions that the split lacks."""
    by_id = {example.id: example for example in audited}
    same = {key: by_id[example.id] for key, example in examples.items() if example.id in by_id}
    return same, [key for key in examples if key not in same]
