"""Encode examples: the token ids of a prompt and of its solution. Needs a tokenizer, but not torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from overmem.encoding.chat import (
    conversation_of,
    prompt_and_reply,
    render,
    reply_end_of,
    token_ids,
    without_thought,
)
from overmem.errors import BadRequest
from overmem.records import Example

PLAIN = "Question: {question}\nAnswer:"
"""The prompt of a model whose tokenizer has no chat template."""
VERBATIM = "{question}{solution}"
"""Prompt and solution unchanged and concatenated, for data with plain `prompt` and `completion` columns."""
LITERAL = "{chat}{solution}"
"""The tokenizer's chat template up to the reply, then the solution unchanged, then the end of the turn."""
IGNORED = -100
"""Label of a position that is not trained on."""


@dataclass(frozen=True)
class Encoded:
    """One example as token ids. Prompt and solution are separate, so that the boundary is the one of training."""

    example_id: str
    prompt_ids: tuple[int, ...]
    solution_ids: tuple[int, ...]
    """The solution's tokens and the end token, if the tokenizer has one."""

    @property
    def input_ids(self) -> tuple[int, ...]:
        """Prompt and solution, as the model reads them."""
        return self.prompt_ids + self.solution_ids

    @property
    def labels(self) -> tuple[int, ...]:
        """The solution's tokens at their positions, IGNORED at every prompt position."""
        return (IGNORED,) * len(self.prompt_ids) + self.solution_ids


def prompt_text(tokenizer: Any, question: str, template: str | None = None) -> str:
    r"""The prompt for `question`: by `template`, else the tokenizer's chat template, else PLAIN.

    In a template without line breaks, the two characters `\n` (as a shell passes them) stand for one.

    Raises:
        BadRequest: a template without {question}.
    """
    return _prompt_text(tokenizer, Example("", question, "", ""), template)


def _prompt_text(tokenizer: Any, example: Example, template: str | None) -> str:
    before = "{chat}" if _is_chat(tokenizer, template) else _split_template(template)[0]
    if "{chat}" in before:
        before = before.replace("{chat}", render(tokenizer, conversation_of(example)))
        return without_thought(before, example.solution) if template is not None else before
    return before.replace("{question}", example.question)


def _split_template(template: str | None) -> tuple[str, str | None]:
    """The template before and after {solution}; the second is None if the template has no {solution}.

    Raises:
        BadRequest: no {question} or {chat} before the solution.
    """
    text = PLAIN if template is None else template
    if "\n" not in text:
        text = text.replace("\\n", "\n")
    prompt, marker, after = text.partition("{solution}")
    if "{question}" not in prompt and "{chat}" not in prompt:
        raise BadRequest(
            f"prompt template {text!r} has no place for the question; write {{question}} where it goes, or {{chat}} "
            "for the tokenizer's own chat template"
        )
    return prompt, after if marker else None


def prompt_ids(tokenizer: Any, question: str, template: str | None = None) -> tuple[int, ...]:
    """The prompt's token ids, with at most one beginning-of-sequence token."""
    text = prompt_text(tokenizer, question, template)
    return token_ids(tokenizer, text) if _has_chat(tokenizer, template) else _prompt_ids(tokenizer, text)


def encode(
    tokenizer: Any, example: Example, *, max_length: int | None = None, template: str | None = None
) -> Encoded | None:
    """The example as token ids; None if prompt and solution together exceed `max_length` tokens.

    No token crosses the boundary, so the prompt before the scored solution equals the prompt that is completed. One
    space separates prompt and solution, unless the prompt ends in white space or a special token, or the tokenizer adds
    a space itself. A template that contains {solution} is taken literally: no space is added or removed.

    With a chat template, the solution is the reply as the template renders it, up to the token that ends the turn: this
    is what TRL and others train on. If the template writes no such token, the solution is its text and `end_token`, as
    after any other prompt.

    Args:
        tokenizer: the model's tokenizer.
        example: the example to encode.
        max_length: maximum number of tokens; None for no limit.
        template: prompt with {question} and, optionally, {solution} in it; {chat} in place of {question} is the
            tokenizer's chat template up to the reply. None for the tokenizer's chat template, else PLAIN.
    """
    prompt, text = _prompt_text(tokenizer, example, template), example.solution.strip()
    before: tuple[int, ...] = ()
    solution: tuple[int, ...] = ()
    if _is_chat(tokenizer, template):
        before, solution = prompt_and_reply(tokenizer, conversation_of(example), text, prompt)
    if not before:
        before = token_ids(tokenizer, prompt) if _has_chat(tokenizer, template) else _prompt_ids(tokenizer, prompt)
    if not solution and not _is_chat(tokenizer, template) and (after := _split_template(template)[1]) is not None:
        solution = _continuation_ids(tokenizer, prompt, example.solution + after, before, template)
        solution = _append_end_token(tokenizer, solution, template)
    if not solution:
        has_space = prompt[-1:].isspace() or _is_special(tokenizer, before[-1:]) or _adds_leading_space(tokenizer)
        solution = _append_end_token(tokenizer, token_ids(tokenizer, text if has_space else f" {text}"), template)
    if max_length is not None and len(before) + len(solution) > max_length:
        return None
    return Encoded(example.id, before, solution)


def _continuation_ids(
    tokenizer: Any, prompt: str, text: str, before: tuple[int, ...], template: str | None
) -> tuple[int, ...]:
    """The tokens of `text` after the prompt: those of both encoded together, unless a token crosses the boundary."""
    ids = (token_ids if _has_chat(tokenizer, template) else _prompt_ids)(tokenizer, prompt + text)
    return ids[len(before) :] if ids[: len(before)] == before else token_ids(tokenizer, text)


def _append_end_token(tokenizer: Any, ids: tuple[int, ...], template: str | None) -> tuple[int, ...]:
    end = end_token(tokenizer, template)
    return ids if end is None or ids[-1:] == (end,) else (*ids, end)


def end_token(tokenizer: Any, template: str | None = None) -> int | None:
    """The token that ends a solution: the chat template's end of a reply, else end-of-sequence, else None.

    Qwen2.5 has both: a sequence ends in <|endoftext|>, a turn in <|im_end|>.
    """
    reply_end = reply_end_of(tokenizer).token if _has_chat(tokenizer, template) else None
    eos: int | None = tokenizer.eos_token_id
    return eos if reply_end is None else reply_end


def end_ids(tokenizer: Any) -> set[int]:
    """The tokens that end a solution, whatever the prompt: `end_token` and the end-of-sequence token."""
    return {end for end in (tokenizer.eos_token_id, end_token(tokenizer)) if end is not None}


def completion_text(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of a completion without special tokens and without white space at its ends."""
    text = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return str(text).strip()


def _prompt_ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    """The tokens of a plain text, with a bos token if the tokenizer adds one, and without an eos token."""
    ids, first = token_ids(tokenizer, text), tokenizer.bos_token_id
    return (first, *ids) if first is not None and ids[:1] != (first,) and _adds_bos(tokenizer) else ids


def _is_chat(tokenizer: Any, template: str | None) -> bool:
    return template is None and bool(getattr(tokenizer, "chat_template", None))


def _has_chat(tokenizer: Any, template: str | None) -> bool:
    """Whether prompts are rendered by the chat template, which writes the special tokens itself."""
    return _is_chat(tokenizer, template) or (template is not None and "{chat}" in template)


def _adds_bos(tokenizer: Any) -> bool:
    ids: list[int] = tokenizer("a")["input_ids"]
    return ids[:1] == [tokenizer.bos_token_id]


def _adds_leading_space(tokenizer: Any) -> bool:
    """Whether the tokenizer itself puts a space before a text (SentencePiece models do)."""
    tokens: list[str] = tokenizer.convert_ids_to_tokens(list(token_ids(tokenizer, "a")))
    return bool(tokens) and tokens[0].startswith("▁")


def _is_special(tokenizer: Any, last: tuple[int, ...]) -> bool:
    return bool(last) and last[0] in tokenizer.all_special_ids


def describe_prompt(tokenizer: Any, template: str | None) -> str:
    """One line on how prompts are written, what is scored and which token ends it."""
    if _has_chat(tokenizer, template):
        literal = "" if template is None else f", then {template.partition('{chat}')[2]!r} as written"
        prompt = f"the tokenizer's chat template{literal}"
    else:
        prompt = "as in the data, nothing around them" if template == VERBATIM else repr(template or PLAIN)
    end = end_token(tokenizer, template)
    ending = f"and the end token {tokenizer.convert_ids_to_tokens(end)!r} " if end is not None else ""
    return f"prompts: {prompt}; scored: the solution {ending}after it, not the prompt"
