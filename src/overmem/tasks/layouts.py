"""Layouts: where known data sets keep question, solution, answer and group, and how a row becomes an example."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from overmem.errors import BadData, unknown
from overmem.grading import GRADERS
from overmem.grading.answers import marked_answer
from overmem.grading.golds import gold_scores, is_right
from overmem.grading.mathematics import number
from overmem.records import Example
from overmem.tasks.data import Data, Row

FIELDS = ("question", "solution", "answer", "group")

LAYOUTS: dict[str, dict[str, str]] = {
    "metamathqa": {"question": "query", "solution": "response", "group": "original_question"},
    "knights-and-knaves": {
        "question": "quiz",
        "solution": "{cot_head}\n{cot_repeat_steps}\n{cot_foot}",
        "answer": "solution_text",
    },
    "svamp": {"question": "{Body}. {Question}", "solution": "Equation", "answer": "Answer"},
    "multiple-choice": {"question": "{question}\n{choices}", "answer": "answerKey"},
    "openbookqa": {"question": "{question_stem}\n{choices}", "answer": "answerKey"},
    "aqua": {"question": "{question}\n{options}", "solution": "rationale", "answer": "correct"},
    "instruction": {"question": "{instruction}\n{input}", "solution": "output", "answer": "answer"},
    "alpaca": {"question": "{instruction}\n{input}", "solution": "output"},
    "gsm-hard": {"question": "input", "answer": "target"},
}
"""Layouts that are known by their columns; the first one whose columns are all there is taken."""

USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "question": ("question", "problem", "query", "quiz", "prompt", "instruction", "input"),
    "solution": ("solution", "rationale", "response", "output", "completion", "cot", "reasoning"),
    "answer": ("answer", "final_answer", "final_ans", "target", "ground_truth", "answerkey"),
    "group": ("seed_question", "original_question"),
}
"""What columns are called elsewhere, best first; case does not matter."""

_SPEAKERS = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
_CALCULATION = re.compile(r"<<[^<>]*>>")
_PLACE = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class ParsedRows:
    """Examples made of rows, and what it took."""

    examples: list[Example]
    appended: int = 0
    """Solutions that did not mark their answer and got it appended."""
    broken: tuple[str, ...] = ()
    """Why each row that was left out is broken."""
    shortened: int = 0
    """Rows that have more than one question and its reply: a system turn, other turns. Those are left out."""
    kind: str = ""


def content_id(question: str) -> str:
    """The first 16 hex digits of the SHA-256 of the question, regardless of case, white space and Unicode form."""
    folded = " ".join(unicodedata.normalize("NFKC", question).casefold().split())
    return hashlib.sha256(folded.encode()).hexdigest()[:16]


def places(columns: Sequence[str], given: Mapping[str, str], where: str) -> dict[str, str]:
    """Where each field stands, as a column or a template: as given, else by a known layout, else by the usual names.

    Raises:
        BadRequest: a field that is not one, or a column that is not there.
        BadData: no column for the question, or none for solution and answer.
    """
    for field, place in given.items():
        if field not in FIELDS:
            raise unknown("field", field, FIELDS, "data.fields")
        for column in _PLACE.findall(place) or [place]:
            if column not in columns:
                raise unknown(f"column for {field}", column, columns, where)
    found = next((layout for layout in LAYOUTS.values() if _columns(layout) <= set(columns)), None)
    if found is None:
        by_case = {column.casefold(): column for column in reversed(columns)}
        found = {
            field: next(by_case[name] for name in names if name in by_case)
            for field, names in USUAL_NAMES.items()
            if any(name in by_case for name in names)
        }
    found = {**found, **given}
    if "question" not in found or not {"solution", "answer"} & set(found):
        raise BadData(
            f"{where}: no column for {'question' if 'question' not in found else 'solution or answer'} among "
            f"{', '.join(columns)}; name it under fields:"
        )
    return found


def examples_of(rows: Sequence[Row], data: Data, fields: Mapping[str, str], kind: str = "") -> ParsedRows:
    """The rows as examples.

    Raises:
        BadData: a broken row, unless `data.drop_broken`; the message names the file, the row and what is missing.
        BadRequest: a kind of answer that has no grader.
    """
    if not rows:
        return ParsedRows([], kind=kind)
    shortened = sum(_has_more(row) for row in rows)
    rows = [_unfolded(row) for row in rows]
    where = places(list(rows[0].values), fields, rows[0].where)
    if data.kind not in ("auto", "none", *GRADERS) and ":" not in data.kind:
        raise unknown("kind of answer", data.kind, ["auto", "none", *GRADERS, "module:function"], "data.kind")
    kind = kind or (data.kind if data.kind != "auto" else "") or _kind_of(rows[:500], where, data)
    examples, broken, appended = [], [], 0
    for row in rows:
        try:
            example, added = _example(row, where, kind, data)
        except BadData as error:
            if not data.drop_broken:
                raise
            broken.append(str(error))
        else:
            examples.append(example)
            appended += added
    return ParsedRows(examples, appended, tuple(broken), shortened, kind)


def _columns(layout: Mapping[str, str]) -> set[str]:
    return {column for place in layout.values() for column in (_PLACE.findall(place) or [place])}


def _example(row: Row, where: Mapping[str, str], kind: str, data: Data) -> tuple[Example, bool]:
    """The row as an example, and whether its answer was appended to its solution."""
    at = f"{row.where}, row {row.number}"
    texts = {field: _filled(row, place, at) for field, place in where.items()}
    if not texts["question"]:
        raise BadData(f"{at}: the question is empty ({where['question']})")
    solution, answer = texts.get("solution", ""), texts.get("answer", "")
    if kind != "none":
        solution, answer = _answered(solution, answer, kind, data, at, where.get("answer") or "a column named answer")
    elif not solution:
        raise BadData(f"{at}: the solution is empty ({where.get('solution') or 'no column for it'})")
    read = kind == "none" or bool(marked_answer(solution, kind))
    if not read:
        solution = f"{solution}\n#### {answer}".strip()
    group = content_id(texts["group"]) if texts.get("group") else ""
    answer = answer if kind != "none" else ""
    example = Example(content_id(texts["question"]), texts["question"], solution, answer, kind, group)
    if not read and not gold_scores(example):
        raise BadData(f"{at}: the answer {answer!r} cannot be read back from '#### {answer}' (as {kind})")
    return example, not read


def _answered(solution: str, answer: str, kind: str, data: Data, at: str, expected: str) -> tuple[str, str]:
    """Solution and answer, where one of them may have to be read from the other."""
    if not solution and marked_answer(answer, kind, after=data.answer_after):
        solution, answer = answer, ""  # GSM8K: the column named answer holds the solution
    if data.strip_calculations:
        solution = _CALCULATION.sub("", solution)
    read = marked_answer(solution, kind)
    if not answer:
        own_mark = data.answer_after != "####"
        answer = (marked_answer(solution, kind, after=data.answer_after) if own_mark else "") or read
    if not answer:
        raise BadData(
            f"{at}: no answer; expected {expected}, or a solution in which it stands after {data.answer_after!r}, in "
            "\\boxed{} or after 'the answer is'; or kind: none, to score solutions that have none"
        )
    if not is_right(read or answer, answer, kind):
        raise BadData(f"{at}: the solution ends in {read!r}, which is not the answer {answer!r} (compared as {kind})")
    return solution, answer


def _filled(row: Row, place: str, at: str) -> str:
    columns = _PLACE.findall(place) or [place]
    for column in columns:
        if column not in row.values:
            raise BadData(f"{at}: {column!r} is missing; the row has {', '.join(row.values) or 'nothing'}")
    if columns == [place]:
        return _text(row.values[place])
    filled = _PLACE.sub(lambda match: _text(row.values[match[1]]), place).strip()
    return re.sub(r"([.,?!])\s?\.(?= )", r"\1", filled)  # '{Body}. {Question}' where the body has its own stop


def _turns(row: Row) -> list[Any] | None:
    return next((row.values[c] for c in ("messages", "conversations") if isinstance(row.values.get(c), list)), None)


def _has_more(row: Row) -> bool:
    """Whether there is more than one question and its reply: a system turn, other turns, or a column of either."""
    turns, prompt = _turns(row), row.values.get("prompt")
    if any(_is_system(turn) for turn in [*(turns or ()), *(prompt if isinstance(prompt, list) else ())]):
        return True
    if turns is None and not {"instruction", "output"} <= set(row.values):
        return False
    return len(turns or ()) > 2 or any(row.values.get(column) for column in ("system", "history"))


def _is_system(turn: Any) -> bool:
    return isinstance(turn, Mapping) and turn.get("role", turn.get("from")) == "system"


def _unfolded(row: Row) -> Row:
    """The row with a conversation as columns: `question`, its first user turn, and `solution`, the reply to it."""
    turns = _turns(row)
    if turns is None:
        return row
    said: dict[str, str] = {}
    for turn in turns:
        if isinstance(turn, Mapping):
            speaker = _SPEAKERS.get(str(turn.get("role", turn.get("from"))), "")
            said.setdefault(speaker, _text(turn.get("content", turn.get("value"))))
    columns = {"question": said.get("user"), "solution": said.get("assistant")}
    return replace(row, values={**columns, **{k: v for k, v in row.values.items() if v is not turns}})


def _text(value: Any) -> str:
    """A value of a data file as text: whole floats without a point, lists line by line, choices with their letters."""
    match value:
        case None:
            return ""
        case bool():
            return str(value)
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case {"text": [*texts], "label": [*labels]}:
            return "\n".join(f"({label}) {text}" for label, text in zip(labels, texts, strict=True))
        case [{"content": _}, *_]:
            return "\n".join(_text(turn["content"]) for turn in value if turn.get("role") != "system")
        case list():
            return "\n".join(map(_text, value))
        case _:
            return str(value).strip()


def _kind_of(rows: Sequence[Row], where: Mapping[str, str], data: Data) -> str:
    """The kind of answer that most of these rows have."""
    place = where.get("answer") or where["solution"]
    columns = _PLACE.findall(place) or [place]
    answers = []
    for row in rows:
        if all(column in row.values for column in columns):
            text = _filled(row, place, "")
            answers.append(marked_answer(text, "exact", after=data.answer_after) or text)
    letters = sum(bool(re.fullmatch(r"\(?[A-J]\)?", answer)) for answer in answers)
    numbers = sum(number(answer) is not None or "\\" in answer for answer in answers)
    if letters > len(answers) / 2:
        return "choice"
    return "math" if numbers > len(answers) / 2 else "exact"
