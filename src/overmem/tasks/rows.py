"""Flattening a row of a data file: conversations, choices and nested objects become plain text columns."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

from overmem.tasks.data import Row

_ROLES = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "system": "system"}
_LETTERS = "ABCDEFGHIJ"
_CONVERSATIONS = ("messages", "conversations", "chosen")
"""Columns that hold a conversation; the first one present is used, because trainers use that."""


def flatten(row: Row) -> Row:
    """The row with text columns: `question` and `solution` of a conversation, lettered choices, `outer.inner` columns.

    Trainers use the conversation, so its reply replaces a column named `solution` (OpenR1 has a short one).
    """
    values = dict(row.values)
    for column, value in row.values.items():
        if isinstance(value, Mapping):
            values |= {f"{column}.{inner}": text for inner, text in value.items()}
    choices = values.get("choices")
    if _is_texts(choices) and (letter := _letter(values, len(choices))):
        values |= {"choices": {"text": choices, "label": list(_LETTERS[: len(choices)])}, "answer": letter}
    if turns := conversation(row):
        values = {c: v for c, v in values.items() if v is not turns}
        values |= _question_and_reply(turns)
    if _is_turns(values.get("prompt")):
        values["prompt"] = _last(values["prompt"], "user") or ""
    return replace(row, values=values)


def conversation(row: Row) -> list[Any] | None:
    """The turns of the row's conversation; None if it has none."""
    return next((row.values[c] for c in _CONVERSATIONS if _is_turns(row.values.get(c))), None)


def has_more_turns(row: Row) -> bool:
    """Whether the row has more than a question and its reply: a system turn, further turns, or a column of either."""
    turns, prompt = conversation(row), row.values.get("prompt")
    prompt_turns: list[Any] = prompt if isinstance(prompt, list) and _is_turns(prompt) else []
    if any(_role(turn) == "system" for turn in [*(turns or ()), *prompt_turns]) or len(prompt_turns) > 1:
        return True
    if turns is None and not {"instruction", "output"} <= set(row.values):
        return False
    return len(turns or ()) > 2 or any(row.values.get(column) for column in ("system", "history"))


def is_verbatim(columns: Mapping[str, str], row: Row) -> bool:
    """Whether prompt and completion are plain text, which trainers concatenate without a template."""
    question, solution = columns.get("question", ""), columns.get("solution", "")
    if (question, solution) not in {("prompt", c) for c in ("completion", "chosen", "canonical_solution")}:
        return False
    return isinstance(row.values.get(question), str) and isinstance(row.values.get(solution), str)


def as_text(value: Any) -> str:
    """A value as text: integral floats without a decimal point, lists line by line, choices with their letters."""
    match value:
        case None:
            return ""
        case bool():
            return str(value)
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case {"text": [*texts], "label": [*labels]}:
            return "\n".join(f"({label}) {text}" for label, text in zip(labels, texts, strict=True))
        case {"type": "text", "text": str(text)}:
            return text.strip()
        case [{"type": str()}, *_]:
            # Chat templates write the parts of a message without a separator.
            return "".join(part.get("text") or "" for part in value if isinstance(part, Mapping)).strip()
        case [{"content": _}, *_]:
            return "\n".join(as_text(turn["content"]) for turn in value if _role(turn) != "system")
        case list():
            return "\n".join(map(as_text, value))
        case _:
            return str(value).strip()


def _question_and_reply(turns: Sequence[Any]) -> dict[str, str]:
    """The first user turn and the first reply."""
    columns: dict[str, str] = {}
    for turn in turns:
        column = {"user": "question", "assistant": "solution"}.get(_role(turn), "")
        if column and column not in columns:
            columns[column] = _content(turn)
    return columns


def _last(turns: Sequence[Any], role: str) -> str | None:
    return next((_content(turn) for turn in reversed(turns) if _role(turn) == role), None)


def _content(turn: Mapping[str, Any]) -> str:
    return as_text(turn.get("content", turn.get("value")))


def _role(turn: Any) -> str:
    return _ROLES.get(str(turn.get("role", turn.get("from"))), "") if isinstance(turn, Mapping) else ""


def _is_turns(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_role(turn) for turn in value[:1])


def _is_texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and len(value) <= len(_LETTERS) and all(isinstance(text, str) for text in value)


def _letter(values: Mapping[str, Any], choices: int) -> str:
    """The letter of the right choice, if `answer` is its index (MMLU) or that letter; otherwise empty."""
    answer = values.get("answer")
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < choices:
        return _LETTERS[answer]
    return answer if isinstance(answer, str) and answer and answer in _LETTERS[:choices] else ""
