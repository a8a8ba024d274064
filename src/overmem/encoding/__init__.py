"""Encoding: an example as the token ids of its prompt and of its solution. The tokenizer is passed in; no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from overmem.encoding.chat import (
    closing_of,
    conversation_of,
    prompt_and_reply,
    rendered,
    token_ids,
    without_thought,
)
from overmem.errors import BadRequest
from overmem.records import Example

PLAIN = "Question: {question}\nAnswer:"
"""The prompt of a model whose tokenizer has no chat template."""
VERBATIM = "{question}{solution}"
"""Prompt and solution as the data has them, concatenated: plain `prompt` and `completion` columns."""
LITERAL = "{chat}{solution}"
"""The tokenizer's chat template up to the reply, then the solution as the data has it, and the end of the turn."""
IGNORED = -100
"""The label of a position that does not count in the loss."""


@dataclass(frozen=True)
class Encoded:
    """One example as token ids, prompt and solution separate, so that the boundary is where training put it."""

    example_id: str
    prompt_ids: tuple[int, ...]
    solution_ids: tuple[int, ...]
    """The solution's tokens and the end token, where the tokenizer has one."""

    @property
    def input_ids(self) -> tuple[int, ...]:
        """Prompt and solution, as the model sees them."""
        return self.prompt_ids + self.solution_ids

    @property
    def labels(self) -> tuple[int, ...]:
        """The solution's tokens at their positions, IGNORED at every prompt position."""
        return (IGNORED,) * len(self.prompt_ids) + self.solution_ids


def prompt_text(tokenizer: Any, question: str, template: str | None = None) -> str:
    r"""The prompt that asks `question`: by `template`, else the tokenizer's chat template, else PLAIN.

    A `\n` of two characters, as a shell gives it, is a line break, in a template that has no other.

    Raises:
        BadRequest: a template without {question}.
    """
    return _prompt_text(tokenizer, Example("", question, "", ""), template)


def _prompt_text(tokenizer: Any, example: Example, template: str | None) -> str:
    before = "{chat}" if _is_chat(tokenizer, template) else _parts(template)[0]
    if "{chat}" in before:
        before = before.replace("{chat}", rendered(tokenizer, conversation_of(example)))
        return without_thought(before, example.solution) if template is not None else before
    return before.replace("{question}", example.question)


def _parts(template: str | None) -> tuple[str, str | None]:
    """The template up to the solution, and what follows the solution; None where it does not say where that goes.

    Raises:
        BadRequest: a template without {question} or {chat}, or with {solution} before it.
    """
    chosen = PLAIN if template is None else template
    if "\n" not in chosen:
        chosen = chosen.replace("\\n", "\n")
    prompt, place, after = chosen.partition("{solution}")
    if "{question}" not in prompt and "{chat}" not in prompt:
        raise BadRequest(
            f"prompt template {chosen!r} has no place for the question; write {{question}} where it goes, or {{chat}} "
            "for the tokenizer's own chat template"
        )
    return prompt, after if place else None


def prompt_ids(tokenizer: Any, question: str, template: str | None = None) -> tuple[int, ...]:
    """The prompt's token ids; one beginning-of-sequence token at most."""
    text = prompt_text(tokenizer, question, template)
    return token_ids(tokenizer, text) if _has_chat(tokenizer, template) else _prompt_ids(tokenizer, text)


def encode(
    tokenizer: Any, example: Example, *, max_length: int | None = None, template: str | None = None
) -> Encoded | None:
    """The example as token ids; None where prompt and solution together do not fit `max_length` tokens.

    No token straddles the boundary: the prompt that a model is scored after is the prompt that it completes. One that
    ends in a letter or a colon is followed by one space. A template with {solution} in it is taken literally: no space
    is added and none is removed.

    After a chat template's prompt, system turn, earlier turns and tools in it, the solution is what the template makes
    of it, up to the token that ends the turn: that is what TRL and others train on. Where the template writes no such
    token, the solution is its bare text and `end_token`, as after any other prompt.

    Args:
        tokenizer: of the model.
        example: what to render.
        max_length: in tokens.
        template: prompt with {question} and, optionally, {solution} in it; {chat} instead of {question} is the
            tokenizer's own chat template up to the reply; None for the tokenizer's own.
    """
    prompt, text = _prompt_text(tokenizer, example, template), example.solution.strip()
    before: tuple[int, ...] = ()
    solution: tuple[int, ...] = ()
    if _is_chat(tokenizer, template):
        before, solution = prompt_and_reply(tokenizer, conversation_of(example), text, prompt)
    if not before:
        before = token_ids(tokenizer, prompt) if _has_chat(tokenizer, template) else _prompt_ids(tokenizer, prompt)
    if not solution and not _is_chat(tokenizer, template) and (after := _parts(template)[1]) is not None:
        solution = _continued(tokenizer, prompt, example.solution + after, before, template)
        solution = _with_end(tokenizer, solution, template)
    if not solution:
        apart = prompt[-1:].isspace() or _is_special(tokenizer, before[-1:]) or _begins_with_space(tokenizer)
        solution = _with_end(tokenizer, token_ids(tokenizer, text if apart else f" {text}"), template)
    if max_length is not None and len(before) + len(solution) > max_length:
        return None
    return Encoded(example.id, before, solution)


def _continued(
    tokenizer: Any, prompt: str, text: str, before: tuple[int, ...], template: str | None
) -> tuple[int, ...]:
    """The tokens of `text` after the prompt: of both together where no token straddles the boundary."""
    ids = (token_ids if _has_chat(tokenizer, template) else _prompt_ids)(tokenizer, prompt + text)
    return ids[len(before) :] if ids[: len(before)] == before else token_ids(tokenizer, text)


def _with_end(tokenizer: Any, ids: tuple[int, ...], template: str | None) -> tuple[int, ...]:
    end = end_token(tokenizer, template)
    return ids if end is None or ids[-1:] == (end,) else (*ids, end)


def end_token(tokenizer: Any, template: str | None = None) -> int | None:
    """The token that ends a solution: what the chat template closes a reply with, else the end-of-sequence token.

    Qwen2.5 has both: a sequence ends in <|endoftext|>, a turn in <|im_end|>. None where there is neither.
    """
    closing = closing_of(tokenizer).token if _has_chat(tokenizer, template) else None
    eos: int | None = tokenizer.eos_token_id
    return eos if closing is None else closing


def end_ids(tokenizer: Any) -> set[int]:
    """Tokens that end a solution after any prompt: `end_token` and the end-of-sequence token."""
    return {end for end in (tokenizer.eos_token_id, end_token(tokenizer)) if end is not None}


def completion_text(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of a completion without special tokens and surrounding white space, otherwise unchanged."""
    text = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return str(text).strip()


def _prompt_ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    """A plain text with the token that the tokenizer puts first (bos), but not the one that it puts last (eos)."""
    ids, first = token_ids(tokenizer, text), tokenizer.bos_token_id
    return (first, *ids) if first is not None and ids[:1] != (first,) and _adds_bos(tokenizer) else ids


def _is_chat(tokenizer: Any, template: str | None) -> bool:
    return template is None and bool(getattr(tokenizer, "chat_template", None))


def _has_chat(tokenizer: Any, template: str | None) -> bool:
    """Whether prompts are rendered by the chat template, which writes its own special tokens."""
    return _is_chat(tokenizer, template) or (template is not None and "{chat}" in template)


def _adds_bos(tokenizer: Any) -> bool:
    built: list[int] = tokenizer("a")["input_ids"]
    return built[:1] == [tokenizer.bos_token_id]


def _begins_with_space(tokenizer: Any) -> bool:
    """Whether the tokenizer itself puts a space before a text (SentencePiece models do)."""
    tokens: list[str] = tokenizer.convert_ids_to_tokens(list(token_ids(tokenizer, "a")))
    return bool(tokens) and tokens[0].startswith("▁")


def _is_special(tokenizer: Any, last: tuple[int, ...]) -> bool:
    return bool(last) and last[0] in tokenizer.all_special_ids


def describe_prompt(tokenizer: Any, template: str | None) -> str:
    """In words, how prompts are written, what is scored and what ends it: the first line of an audit."""
    if _has_chat(tokenizer, template):
        literal = "" if template is None else f", then {template.partition('{chat}')[2]!r} as written"
        prompt = f"the tokenizer's chat template{literal}"
    else:
        prompt = "as in the data, nothing around them" if template == VERBATIM else repr(template or PLAIN)
    end = end_token(tokenizer, template)
    ending = f"and the end token {tokenizer.convert_ids_to_tokens(end)!r} " if end is not None else ""
    return f"prompts: {prompt}; scored: the solution {ending}after it, not the prompt"
