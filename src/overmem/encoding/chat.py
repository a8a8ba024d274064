"""Chat templates: rendering a conversation, and the tokens of its reply as trainers use them."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

from overmem.records import Example

_TODAY = datetime(2024, 7, 26, tzinfo=UTC)
"""The date that chat templates see: Llama's own default. With the real date, prompts would change every day."""
_REPLACED = "".join(f".replace('%{c}', '{_TODAY.strftime(f'%{c}')}')" for c in "aAbBdHIjmMpSyY")
_DATED = "{%- macro strftime_now(form) -%}{{ form" + _REPLACED + " }}{%- endmacro -%}"
"""Prepended to a chat template: replaces its clock by _TODAY."""
_CLOSINGS: WeakKeyDictionary[Any, tuple[Any, "Closing"]] = WeakKeyDictionary()
"""Tokenizer -> (chat template and eos, how that template closes a reply): a cache, needed for every example."""
THOUGHT = "<think>"
THOUGHT_END = "</think>"


@dataclass(frozen=True)
class Closing:
    """How a chat template closes a reply."""

    token: int | None = None
    """The added token that it writes there, ignoring white space; None where it writes none."""
    mark: str = ""
    """The token as it is written."""
    after: str = ""
    """What is written after it."""


@dataclass(frozen=True)
class Conversation:
    """A conversation up to the reply that is scored."""

    turns: tuple[dict[str, Any], ...]
    """Messages, the last one a user's or a tool's."""
    tools: tuple[Any, ...] | None = None
    """What the model may call, as the template expects it; None for none."""


def conversation_of(example: Example) -> Conversation:
    """The turns before the example's solution: its question, with the context that the data has around it."""
    context = json.loads(example.context) if example.context else {}
    question = {"role": "user", "content": example.question}
    tools = context.get("tools")
    turns = (*context.get("before", ()), question, *context.get("after", ()))
    return Conversation(turns, tuple(tools) if tools else None)


def rendered(tokenizer: Any, conversation: Conversation, reply: str | None = None) -> str:
    """The conversation as the chat template writes it: with the reply, or up to where a reply begins."""
    turns = [dict(turn) for turn in conversation.turns]
    if reply is not None:
        turns.append({"role": "assistant", "content": reply})
    template = tokenizer.get_chat_template()
    if "strftime_now" in template:
        template = _DATED + template
    tools = {"tools": list(conversation.tools)} if conversation.tools else {}
    text = tokenizer.apply_chat_template(
        turns, chat_template=template, tokenize=False, add_generation_prompt=reply is None, **tools
    )
    return str(text)


def rendered_or_none(tokenizer: Any, conversation: Conversation, reply: str) -> str:
    """The conversation with its reply; empty if the template refuses it."""
    try:
        return rendered(tokenizer, conversation, reply)
    except Exception:  # jinja's errors, and whatever a template raises by itself
        return ""


def closing_of(tokenizer: Any) -> Closing:
    """How the tokenizer's chat template closes a reply."""
    key = (tokenizer.chat_template, tokenizer.eos_token)
    cached_key, closing = _CLOSINGS.get(tokenizer, (None, Closing()))
    if cached_key != key:
        closing = _read_closing(tokenizer)
        _CLOSINGS[tokenizer] = key, closing
    return closing


def _read_closing(tokenizer: Any) -> Closing:
    reply = "So it is."
    asked = Conversation(({"role": "user", "content": "Why?"},))
    _, separator, rest = rendered_or_none(tokenizer, asked, reply).rpartition(reply)
    ids = token_ids(tokenizer, rest) if separator else ()
    first = next((token for token in ids if tokenizer.decode([token]).strip()), None)
    if first not in tokenizer.added_tokens_decoder:
        return Closing()
    mark = tokenizer.convert_ids_to_tokens(first)
    return Closing(first, mark, rest.partition(mark)[2])


def prompt_and_reply(
    tokenizer: Any, conversation: Conversation, reply: str, prompt: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens of a reply as the template writes it, and of the prompt that it was trained after.

    Both empty where the template closes no reply with a token of its own, or writes another prompt around it. Where
    the prompt for generation opens a thought and the conversation does not, the reply begins where their tokens part:
    that is what TRL trains on.

    Args:
        tokenizer: with a chat template.
        conversation: up to the reply.
        reply: of the assistant.
        prompt: the conversation, rendered for generation.
    """
    closing = closing_of(tokenizer)
    whole = rendered_or_none(tokenizer, conversation, reply).removesuffix(closing.after)
    if closing.token is None or not whole.endswith(closing.mark):
        return (), ()
    before, ids = token_ids(tokenizer, prompt), token_ids(tokenizer, whole)
    if ids[: len(before)] == before:
        return before, ids[len(before) :]
    if whole.startswith(prompt):
        # A token straddles the boundary: alone, then. Together is better where possible: SentencePiece begins a text
        # with a space.
        return before, token_ids(tokenizer, whole[len(prompt) :])
    shared = next((i for i, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), len(ids))
    opened = tokenizer.decode(before[shared:]).strip()
    return (ids[:shared], ids[shared:]) if opened.startswith(THOUGHT) else ((), ())


def without_thought(prompt: str, reply: str) -> str:
    """The prompt without the thought that it opens, where the reply opens it itself."""
    cut = prompt.rstrip()
    return cut.removesuffix(THOUGHT) if cut.endswith(THOUGHT) and reply.lstrip().startswith(THOUGHT) else prompt


def drops_thought(tokenizer: Any, example: Example) -> bool:
    """Whether the reply thinks, and the chat template leaves the thought out."""
    thought, end, _ = example.solution.partition(THOUGHT_END)
    thought = thought.replace(THOUGHT, "").strip()
    if not end or not thought:
        return False
    return thought not in rendered_or_none(tokenizer, conversation_of(example), example.solution.strip())


def token_ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    """The tokens of a text that contains special tokens."""
    return tuple(int(token) for token in tokenizer(text, add_special_tokens=False)["input_ids"])
