"""Parse rows into examples: question, solution, answer and its kind."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from overmem.errors import BadData, unknown
from overmem.grading import GRADERS
from overmem.grading.answers import marked_answer
from overmem.grading.golds import is_gold_right, is_right
from overmem.grading.mathematics import number
from overmem.records import Example
from overmem.tasks import code_rows
from overmem.tasks.data import Data, Row
from overmem.tasks.layouts import PLACEHOLDER, field_columns
from overmem.tasks.rows import as_text, conversation_rows, flatten, is_verbatim, replies_in

_CALCULATION = re.compile(r"<<[^<>]*>>")


@dataclass(frozen=True)
class ParsedRows:
    """Examples parsed from rows."""

    examples: list[Example]
    appended: int = 0
    """Solutions that did not mark their answer and had it appended."""
    broken: tuple[str, ...] = ()
    """For each row that was left out, what is wrong with it."""
    conversations: int = 0
    """Rows with more than one reply."""
    with_system: int = 0
    """Examples whose conversation has a system turn."""
    kind: str = ""
    verbatim: bool = False
    """Whether the rows are plain prompts and completions, which trainers concatenate without a template."""


def content_id(question: str) -> str:
    """The first 16 hex digits of the SHA-256 of the question, ignoring case, whitespace and Unicode form."""
    folded = " ".join(unicodedata.normalize("NFKC", question).casefold().split())
    return hashlib.sha256(folded.encode()).hexdigest()[:16]


def parse_rows(
    rows: Sequence[Row], data: Data, fields: Mapping[str, str], kind: str = "", *, append_answers: bool = True
) -> ParsedRows:
    """Parse the rows into examples.

    Args:
        rows: the rows of one part.
        data: the request.
        fields: columns or templates of some fields; the others are guessed.
        kind: how answers are compared, if known from another part of the data; else guessed.
        append_answers: whether to append `#### <answer>` to solutions that do not mark their answer.

    Raises:
        BadData: a broken row, unless `data.drop_broken`; the message names the file, the row and what is missing.
        BadRequest: a kind of answer without a grader.
    """
    if not rows:
        return ParsedRows([], kind=kind)
    conversations = sum(replies_in(row) > 1 for row in rows)
    first_raw = rows[0]
    rows = [flat for row in rows for flat in (conversation_rows(row) if data.replies == "each" else [flatten(row)])]
    columns = field_columns(list(rows[0].values), fields, rows[0].where)
    if data.kind not in ("auto", "none", *GRADERS) and ":" not in data.kind:
        raise unknown("kind of answer", data.kind, ["auto", "none", *GRADERS, "module:function"], "data.kind")
    kind = kind or (data.kind if data.kind != "auto" else "") or _kind_of(rows[:500], columns, data)
    if data.kind == "code" and not code_rows.tests_of(rows[0].values):
        raise BadData(
            f"{rows[0].where}: no tests among {', '.join(rows[0].values)}; kind: code reads tests, test_list, test "
            "with entry_point, or input_output with fn_name"
        )
    verbatim = is_verbatim(columns, first_raw)
    examples, broken, appended = [], [], 0
    for row in rows:
        try:
            example = _example(row, columns, kind, data, verbatim=verbatim)
        except BadData as error:
            if not data.drop_broken:
                raise
            broken.append(str(error))
            continue
        if append_answers and kind not in ("none", "code") and not marked_answer(example.solution, kind):
            example = _with_answer_appended(example, f"{row.where}, row {row.number}")
            appended += 1
        examples.append(example)
    with_system = sum('"system"' in example.context for example in examples)
    return ParsedRows(examples, appended, tuple(broken), conversations, with_system, kind, verbatim)


def _example(row: Row, columns: Mapping[str, str], kind: str, data: Data, *, verbatim: bool) -> Example:
    """Parse one row; its solution is unchanged.

    Args:
        row: the flattened row.
        columns: the column or template of each field.
        kind: how answers are compared.
        data: the request.
        verbatim: whether to keep the whitespace around question and solution.

    Raises:
        BadData: there is no question, or neither an answer nor a solution that marks one.
    """
    location = f"{row.where}, row {row.number}"
    texts = {field: _fill(row, template, location) for field, template in columns.items()}
    if not texts["question"]:
        raise BadData(f"{location}: the question is empty ({columns['question']})")
    solution, answer = texts.get("solution", ""), texts.get("answer", "")
    group = content_id(texts["group"]) if texts.get("group") else ""
    if kind == "code":
        return _code_example(row, columns, texts["question"], group, location)
    if "_conversation" in row.values and not answer and not marked_answer(solution, kind, after=data.answer_after):
        kind = "none"  # an earlier reply, which has no final answer
    if kind != "none":
        expected = columns.get("answer") or "a column named answer"
        solution, answer = _solution_and_answer(solution, answer, kind, data, location, expected)
    elif not solution:
        raise BadData(f"{location}: the solution is empty ({columns.get('solution') or 'no column for it'})")
    question = texts["question"]
    if verbatim:
        question, solution = (str(row.values[columns[field]]) for field in ("question", "solution"))
    context = str(row.values.get("_context") or "")
    if row.values.get("_conversation"):
        group = content_id(str(row.values["_conversation"]))
    return Example(
        _conversation_id(question, context), question, solution, answer if kind != "none" else "", kind, group, context
    )


def _conversation_id(question: str, context: str) -> str:
    """The id of a question, including earlier turns of its conversation (without system turns)."""
    earlier = [turn for turn in json.loads(context).get("before", ()) if turn["role"] != "system"] if context else []
    return content_id(f"{json.dumps(earlier, sort_keys=True)}\n{question}" if earlier else question)


def _code_example(row: Row, columns: Mapping[str, str], question: str, group: str, location: str) -> Example:
    """Parse a row with tests. A question from a single column keeps its indentation.

    Args:
        row: the flattened row.
        columns: the column or template of each field.
        question: the question, stripped.
        group: the example's group, or empty.
        location: file and row, for messages.
    """
    tests = code_rows.tests_of(row.values)
    if not tests:
        raise BadData(f"{location}: no tests")
    if columns["question"] in row.values:
        question = str(row.values[columns["question"]])
    solution = row.values.get(columns.get("solution", ""), "")
    return code_rows.code_example(content_id(question), question, solution, tests, group)


def _with_answer_appended(example: Example, location: str) -> Example:
    """The example with `#### <answer>` at the end of its solution.

    Raises:
        BadData: the grader does not read the answer back from there.
    """
    solution = f"{example.solution}\n#### {example.answer}".strip()
    marked = replace(example, solution=solution)
    if not is_gold_right(marked):
        raise BadData(
            f"{location}: the answer {example.answer!r} cannot be read back from '#### {example.answer}' "
            f"(as {example.kind})"
        )
    return marked


def _solution_and_answer(
    solution: str, answer: str, kind: str, data: Data, location: str, expected: str
) -> tuple[str, str]:
    """Solution and answer; if one is missing, it is read from the other.

    Args:
        solution: empty if there is no column for it.
        answer: empty if there is no column for it.
        kind: how answers are compared.
        data: the request.
        location: file and row, for messages.
        expected: the column that should hold the answer, for messages.
    """
    if not solution and marked_answer(answer, kind, after=data.answer_after):
        solution, answer = answer, ""  # GSM8K: the column named answer holds the solution
    if data.strip_calculations:
        solution = _CALCULATION.sub("", solution)
    marked = marked_answer(solution, kind)
    if not answer:
        is_custom = data.answer_after != "####"
        answer = (marked_answer(solution, kind, after=data.answer_after) if is_custom else "") or marked
    if not answer:
        raise BadData(
            f"{location}: no answer; expected {expected}, or a solution that gives it after {data.answer_after!r}, in "
            "\\boxed{} or after 'the answer is'; or kind: none, to score solutions that have none"
        )
    if not is_right(marked or answer, answer, kind):
        raise BadData(
            f"{location}: the solution ends in {marked!r}, which is not the answer {answer!r} (compared as {kind})"
        )
    return solution, answer


def _fill(row: Row, template: str, location: str) -> str:
    """The text of a column, or a template filled with the texts of its columns."""
    columns = PLACEHOLDER.findall(template) or [template]
    for column in columns:
        if column not in row.values:
            raise BadData(f"{location}: {column!r} is missing; the row has {', '.join(row.values) or 'nothing'}")
    try:
        texts = {column: as_text(row.values[column]) for column in columns}
    except (ValueError, RecursionError) as error:
        raise BadData(f"{location}: {' or '.join(columns)}: {error}") from error
    if columns == [template]:
        return texts[template]
    text = PLACEHOLDER.sub(lambda match: texts[match[1]], template).strip()
    return re.sub(r"([.,?!])\s?\.(?= )", r"\1", text)  # '{Body}. {Question}' if the body ends in punctuation


def _kind_of(rows: Sequence[Row], columns: Mapping[str, str], data: Data) -> str:
    """The kind of answer that most of these rows have."""
    if code_rows.tests_of(rows[0].values):
        return "code"
    template = columns.get("answer") or columns["solution"]
    columns_of_answer = PLACEHOLDER.findall(template) or [template]
    answers = []
    for row in rows:
        if all(column in row.values for column in columns_of_answer):
            text = _fill(row, template, "")
            answers.append(marked_answer(text, "exact", after=data.answer_after) or text)
    letters = sum(bool(re.fullmatch(r"\(?[A-J]\)?", answer)) for answer in answers)
    numbers = sum(number(answer) is not None or "\\" in answer for answer in answers)
    if letters > len(answers) / 2:
        return "choice"
    return "math" if numbers > len(answers) / 2 else "exact"
