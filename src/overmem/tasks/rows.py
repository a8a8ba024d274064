"""Flattening a row of a data file: conversations, choices and nested objects become plain text columns."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

from overmem.json_text import parse_json
from overmem.tasks.data import Row

_ROLES = {
    "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "model": "assistant",
    "function_call": "assistant", "system": "system", "developer": "developer", "tool": "tool", "observation": "tool",
    "function_response": "tool", "ipython": "tool",
}  # fmt: skip
_LETTERS = "ABCDEFGHIJ"
_CONVERSATIONS = ("messages", "conversations", "chosen")
"""Columns that hold a conversation; the first one present is used, as trainers do."""


def flatten(row: Row) -> Row:
    """The row with text columns: lettered choices, `outer.inner` columns, `question` and `solution` of a conversation.

    The solution of a conversation is its last reply; `conversation_rows` gives one row per reply.
    """
    values = dict(row.values)
    for column, value in row.values.items():
        if isinstance(value, Mapping):
            values |= {f"{column}.{inner}": text for inner, text in value.items()}
    choices = values.get("choices")
    if _is_texts(choices) and (letter := _letter(values, len(choices))):
        values |= {"choices": {"text": choices, "label": list(_LETTERS[: len(choices)])}, "answer": letter}
    if turns := conversation(row):
        values = {c: v for c, v in values.items() if v is not _column(row)}
        values |= (_replies(turns, row.values) or [_prompt_fields(turns, row.values)])[-1]
    elif _is_turns(prompt := values.get("prompt")):
        values |= _prompt_fields(prompt, row.values)
        values["prompt"] = values.pop("question")
    elif any(values.get(column) for column in ("system", "history")) and "question" not in values:
        values["_context"] = _context([], [], row.values)
    return replace(row, values=values)


def conversation_rows(row: Row) -> list[Row]:
    """One row per reply of a conversation, each with all earlier turns; the flattened row if there is at most one."""
    turns = conversation(row)
    replies = _replies(turns, row.values) if turns else []
    if len(replies) < 2:
        return [flatten(row)]
    flat = flatten(row).values
    group = {"group": row.values["group"]} if "group" in row.values else {}
    key = {"_conversation": json.dumps(turns, sort_keys=True, default=str)}
    return [
        replace(
            row,
            values={**flat, **reply, **key, **group}
            | ({"answer": ""} if number < len(replies) and "answer" in flat else {}),
        )
        for number, reply in enumerate(replies, 1)
    ]


def conversation(row: Row) -> list[Any] | None:
    """The turns of the row's conversation, including those of its prompt; None if the row has no conversation."""
    turns, prompt = _column(row), row.values.get("prompt")
    if turns is not None and _is_turns(prompt) and _role(turns[0]) == "assistant":
        return [*prompt, *turns]
    return turns


def _column(row: Row) -> list[Any] | None:
    return next((row.values[c] for c in _CONVERSATIONS if _is_turns(row.values.get(c))), None)


def replies_in(row: Row) -> int:
    """Number of replies in the row's conversation, including those in a column `history`; 1 without conversation."""
    turns = conversation(row)
    return len(_replies(turns, row.values)) if turns else 1 + len(row.values.get("history") or ())


def is_verbatim(columns: Mapping[str, str], row: Row) -> bool:
    """Whether prompt and completion are plain text, which trainers concatenate without a template."""
    question, solution = columns.get("question", ""), columns.get("solution", "")
    if (question, solution) not in {("prompt", c) for c in ("completion", "chosen", "canonical_solution")}:
        return False
    return isinstance(row.values.get(question), str) and isinstance(row.values.get(solution), str)


def as_text(value: Any) -> str:
    """A value as text: integral floats without a decimal point, lists line by line, choices with their letters.

    Raises:
        ValueError: choices and their letters differ in number.
    """
    match value:
        case None:
            return ""
        case bool():
            return str(value)
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case {"text": [*texts], "label": [*labels]}:
            if len(texts) != len(labels):
                raise ValueError(f"{len(texts)} choices with {len(labels)} labels; expected a label for each")
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


def _replies(turns: Sequence[Any], values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`question`, `solution` and `_context` for every reply that follows a user's turn."""
    messages = [message(turn) for turn in turns]
    replies = []
    for index, turn in enumerate(messages):
        users = [i for i, other in enumerate(messages[:index]) if other["role"] == "user"]
        if turn["role"] == "assistant" and users and turn["content"] and not turn.get("tool_calls"):
            before, after = messages[: users[-1]], messages[users[-1] + 1 : index]
            question, context = messages[users[-1]]["content"], _context(before, after, values)
            replies.append({"question": question, "solution": turn["content"], "_context": context})
    return replies


def _prompt_fields(turns: Sequence[Any], values: Mapping[str, Any]) -> dict[str, str]:
    """`question` and `_context` from a prompt that is a list of turns."""
    messages = [message(turn) for turn in turns]
    users = [i for i, turn in enumerate(messages) if turn["role"] == "user"]
    if not users:
        return {"question": ""}
    before, after = messages[: users[-1]], messages[users[-1] + 1 :]
    return {"question": messages[users[-1]]["content"], "_context": _context(before, after, values)}


def _context(before: list[dict[str, Any]], after: list[dict[str, Any]], values: Mapping[str, Any]) -> str:
    """The rest of a conversation as JSON, with the row's columns `system`, `history` and `tools`; empty for none."""
    if not before:
        for pair in values.get("history") or ():
            if isinstance(pair, list | tuple) and len(pair) == 2:
                before = [
                    *before,
                    *({"role": r, "content": str(t)} for r, t in zip(("user", "assistant"), pair, strict=True)),
                ]
    system = values.get("system")
    if isinstance(system, str) and system.strip() and not any(turn["role"] == "system" for turn in before):
        before = [{"role": "system", "content": system}, *before]
    tools = values.get("tools")
    if isinstance(tools, str) and tools.strip():
        try:
            tools = parse_json(tools)
        except ValueError:
            tools = None
    parts = {"before": before, "after": after, "tools": tools if isinstance(tools, list) else None}
    present = {name: part for name, part in parts.items() if part}
    return json.dumps(present, sort_keys=True, ensure_ascii=False, default=str) if present else ""


def message(turn: Any) -> dict[str, Any]:
    """A turn in the format of chat templates: role, content and tool calls."""
    if not isinstance(turn, Mapping):  # no turn: it has no role, so nothing of it is scored
        return {"role": "", "content": ""}
    fields: dict[str, Any] = {"role": _role(turn), "content": _content(turn)}
    if str(turn.get("from")) == "function_call":
        try:
            call = parse_json(fields["content"])
        except ValueError:
            call = None
        if isinstance(call, dict):
            fields |= {"content": "", "tool_calls": [{"type": "function", "function": call}]}
    for name in ("tool_calls", "name", "tool_call_id"):
        if turn.get(name):
            fields[name] = turn[name]
    return fields


def _content(turn: Mapping[str, Any]) -> str:
    return as_text(turn.get("content", turn.get("value")))


def _role(turn: Any) -> str:
    return _ROLES.get(str(turn.get("role", turn.get("from"))), "") if isinstance(turn, Mapping) else ""


def _is_turns(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list) and bool(value) and all(_role(turn) for turn in value[:1])


def _is_texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and len(value) <= len(_LETTERS) and all(isinstance(text, str) for text in value)


def _letter(values: Mapping[str, Any], choices: int) -> str:
    """The letter of the right choice, if `answer` is its index (MMLU) or that letter; otherwise empty."""
    answer = values.get("answer")
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < choices:
        return _LETTERS[answer]
    return answer if isinstance(answer, str) and answer and answer in _LETTERS[:choices] else ""
