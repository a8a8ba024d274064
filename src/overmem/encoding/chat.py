"""Chat templates: rendering a conversation, and the tokens of its reply as trainers use them."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

from overmem.errors import BadRequest, one_line
from overmem.records import Example

_FIXED_DATE = datetime(2024, 7, 26, tzinfo=UTC)
"""The date in chat templates: Llama's default. With the real date, prompts would change every day."""
_DATE_REPLACEMENTS = "".join(f".replace('%{c}', '{_FIXED_DATE.strftime(f'%{c}')}')" for c in "aAbBdHIjmMpSyY")
_FIXED_CLOCK = "{%- macro strftime_now(form) -%}{{ form" + _DATE_REPLACEMENTS + " }}{%- endmacro -%}"
"""Prepended to a chat template: overrides strftime_now, so that it returns _FIXED_DATE."""
_REPLY_ENDS: WeakKeyDictionary[Any, tuple[Any, "ReplyEnd"]] = WeakKeyDictionary()
"""Cache: tokenizer -> (its chat template and eos, the reply end of that template)."""
THOUGHT = "<think>"
THOUGHT_END = "</think>"


@dataclass(frozen=True)
class ReplyEnd:
    """What a chat template writes after a reply."""

    token: int | None = None
    """The first added token after the reply, ignoring white space; None if there is none."""
    token_text: str = ""
    """Text of that token."""
    trailing: str = ""
    """Text after that token."""


@dataclass(frozen=True)
class Conversation:
    """A conversation up to the reply that is scored."""

    turns: tuple[dict[str, Any], ...]
    """Messages; the last one is a user's or a tool's."""
    tools: tuple[Any, ...] | None = None
    """Tools that the model may call, in the template's format; None for none."""


def conversation_of(example: Example) -> Conversation:
    """The turns before the example's solution: its question and the turns of its context."""
    context = json.loads(example.context) if example.context else {}
    question = {"role": "user", "content": example.question}
    tools = context.get("tools")
    turns = (*context.get("before", ()), question, *context.get("after", ()))
    return Conversation(turns, tuple(tools) if tools else None)


def render(tokenizer: Any, conversation: Conversation, reply: str | None = None) -> str:
    """The conversation as the chat template writes it: with `reply`, or up to the start of a reply.

    Raises:
        BadRequest: the template refuses it, or fails.
    """
    turns = [dict(turn) for turn in conversation.turns]
    if reply is not None:
        turns.append({"role": "assistant", "content": reply})
    template = tokenizer.get_chat_template()
    if "strftime_now" in template:
        template = _FIXED_CLOCK + template
    tools = {"tools": list(conversation.tools)} if conversation.tools else {}
    try:
        return str(
            tokenizer.apply_chat_template(
                turns, chat_template=template, tokenize=False, add_generation_prompt=reply is None, **tools
            )
        )
    except Exception as error:  # jinja's errors, and whatever a template raises by itself
        reason = one_line(error)[:300] or type(error).__name__
        raise BadRequest(f"the tokenizer's chat template fails ({type(error).__name__}: {reason})") from error


def render_or_empty(tokenizer: Any, conversation: Conversation, reply: str) -> str:
    """The conversation with its reply; empty if the template raises an error."""
    try:
        return render(tokenizer, conversation, reply)
    except Exception:  # jinja's errors, and errors that a template raises itself
        return ""


def reply_end_of(tokenizer: Any) -> ReplyEnd:
    """What the tokenizer's chat template writes after a reply."""
    key = (tokenizer.chat_template, tokenizer.eos_token)
    cached_key, reply_end = _REPLY_ENDS.get(tokenizer, (None, ReplyEnd()))
    if cached_key != key:
        reply_end = _find_reply_end(tokenizer)
        _REPLY_ENDS[tokenizer] = key, reply_end
    return reply_end


def _find_reply_end(tokenizer: Any) -> ReplyEnd:
    reply = "So it is."
    question = Conversation(({"role": "user", "content": "Why?"},))
    _, separator, rest = render_or_empty(tokenizer, question, reply).rpartition(reply)
    ids = token_ids(tokenizer, rest) if separator else ()
    first = next((token for token in ids if tokenizer.decode([token]).strip()), None)
    if first not in tokenizer.added_tokens_decoder:
        return ReplyEnd()
    token_text = tokenizer.convert_ids_to_tokens(first)
    return ReplyEnd(first, token_text, rest.partition(token_text)[2])


def prompt_and_reply(
    tokenizer: Any, conversation: Conversation, reply: str, prompt: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens of the prompt, and of the reply as the template renders it after that prompt.

    Both are empty if the template ends replies without a token of its own, or renders another prompt around a reply.
    If the generation prompt opens a thought and the rendered conversation does not, the reply starts where the tokens
    of the two differ: that is what TRL trains on.

    Args:
        tokenizer: a tokenizer with a chat template.
        conversation: the conversation up to the reply.
        reply: the assistant's reply.
        prompt: the conversation, rendered for generation.
    """
    reply_end = reply_end_of(tokenizer)
    conversation_text = render_or_empty(tokenizer, conversation, reply).removesuffix(reply_end.trailing)
    if reply_end.token is None or not conversation_text.endswith(reply_end.token_text):
        return (), ()
    before, ids = token_ids(tokenizer, prompt), token_ids(tokenizer, conversation_text)
    if ids[: len(before)] == before:
        return before, ids[len(before) :]
    if conversation_text.startswith(prompt):
        # A token crosses the boundary, so the reply is encoded alone. Encoding both together is better where possible,
        # because SentencePiece puts a space before a text.
        return before, token_ids(tokenizer, conversation_text[len(prompt) :])
    common = next((i for i, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), len(ids))
    generation_prefix = tokenizer.decode(before[common:]).strip()
    return (ids[:common], ids[common:]) if generation_prefix.startswith(THOUGHT) else ((), ())


def without_thought(prompt: str, reply: str) -> str:
    """The prompt without its opening <think>, if the reply opens with <think> itself."""
    stripped = prompt.rstrip()
    both_open = stripped.endswith(THOUGHT) and reply.lstrip().startswith(THOUGHT)
    return stripped.removesuffix(THOUGHT) if both_open else prompt


def drops_thought(tokenizer: Any, example: Example) -> bool:
    """Whether the reply contains a thought that the chat template leaves out."""
    thought, end, _ = example.solution.partition(THOUGHT_END)
    thought = thought.replace(THOUGHT, "").strip()
    if not end or not thought:
        return False
    return thought not in render_or_empty(tokenizer, conversation_of(example), example.solution.strip())


def token_ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    """The tokens of a text that already contains its special tokens."""
    return tuple(int(token) for token in tokenizer(text, add_special_tokens=False)["input_ids"])
