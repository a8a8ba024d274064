"""The questions of logs as examples: by the data set's own columns where a log has them, else by prompt and target."""

from collections.abc import Iterable, Mapping, Sequence

from overmem.errors import OvermemError
from overmem.evaluations.log import EvaluationLog, LoggedQuestion
from overmem.grading import GRADERS
from overmem.records import Example
from overmem.tasks.data import Data, Row
from overmem.tasks.parsing import content_id, parse_rows


def examples_by_key(logs: Sequence[EvaluationLog]) -> dict[str, Example]:
    """Key of a question -> its example.

    The example is that which `overmem audit` makes of the same row, so that both have one id.
    """
    asked = _best({question.key: question for log in logs for question in log.questions}, logs)
    rows = [Row(question.key, 1, dict(question.row)) for question in asked.values() if not question.kind]
    kind = _kind(rows)
    return {key: _example(question, kind) for key, question in asked.items()}


def _best(asked: Mapping[str, LoggedQuestion], logs: Sequence[EvaluationLog]) -> dict[str, LoggedQuestion]:
    """Of the tasks that ask one document, the one that completes it: its prompt is a question."""
    completed = {q.key: q for log in logs for q in log.questions if q.completions}
    return {key: completed.get(key, question) for key, question in asked.items()}


def _kind(rows: Sequence[Row]) -> str:
    """How the answers of these rows are graded; empty where they are in no layout that overmem knows."""
    if not rows:
        return ""
    try:
        return parse_rows(rows, Data(drop_broken=True), {}, append_answers=False).kind
    except OvermemError:
        return ""


def _example(question: LoggedQuestion, kind: str) -> Example:
    if kind and not question.kind:
        try:
            made = parse_rows([Row(question.key, 1, dict(question.row))], Data(), {}, kind, append_answers=False)
            return made.examples[0]
        except OvermemError:
            pass  # in no layout: prompt and target as the harness wrote them
    text = question.prompt or str(question.row.get("question", question.key))
    solution = question.target if question.nll is not None else ""
    known = question.kind or (kind if kind in GRADERS else "exact")
    return Example(content_id(text), text, solution, question.target.strip(), known)


def matched(examples: Mapping[str, Example], there: Iterable[Example]) -> tuple[dict[str, Example], list[str]]:
    """Key -> the example of an audited split that is the same question; and the keys of questions that it lacks."""
    by_id = {example.id: example for example in there}
    same = {key: by_id[example.id] for key, example in examples.items() if example.id in by_id}
    return same, [key for key in examples if key not in same]
