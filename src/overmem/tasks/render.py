"""Rendering: an example as the token ids of its prompt and of its solution. The tokenizer is passed in; no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from overmem.errors import BadRequest
from overmem.records import Example

PLAIN = "Question: {question}\nAnswer:"
"""The prompt of a model whose tokenizer has no chat template."""
_TODAY = datetime(2024, 7, 26, tzinfo=UTC)
"""The date that chat templates are told: Llama's own default. Else a prompt would be another one tomorrow."""
_REPLACED = "".join(f".replace('%{c}', '{_TODAY.strftime(f'%{c}')}')" for c in "aAbBdHIjmMpSyY")
_DATED = "{%- macro strftime_now(form) -%}{{ form" + _REPLACED + " }}{%- endmacro -%}"
"""Put before a chat template: what it asks for the date, answered by _TODAY."""
IGNORED = -100
"""The label of a position that costs nothing."""


@dataclass(frozen=True)
class Encoded:
    """One example as token ids, prompt and solution apart, so that the boundary is where training put it."""

    example_id: str
    prompt_ids: tuple[int, ...]
    solution_ids: tuple[int, ...]
    """The solution's tokens and the one that ends them, where the tokenizer has one."""

    @property
    def input_ids(self) -> tuple[int, ...]:
        """Prompt and solution, as the model sees them."""
        return self.prompt_ids + self.solution_ids

    @property
    def labels(self) -> tuple[int, ...]:
        """The solution's tokens where they stand, IGNORED at every prompt position."""
        return (IGNORED,) * len(self.prompt_ids) + self.solution_ids


def prompt_text(tokenizer: Any, question: str, template: str | None = None) -> str:
    r"""The prompt that asks `question`: by `template`, else the tokenizer's chat template, else PLAIN.

    A `\n` of two characters in the template, as a shell gives it, is a line break.

    Raises:
        BadRequest: a template without {question}.
    """
    if _is_chat(tokenizer, template):
        return _rendered(tokenizer, {"user": question}, add_generation_prompt=True)
    chosen = PLAIN if template is None else template.replace("\\n", "\n")
    if "{question}" not in chosen:
        raise BadRequest(f"prompt template {chosen!r} has no place for the question; write {{question}} where it goes")
    return chosen.replace("{question}", question)


def prompt_ids(tokenizer: Any, question: str, template: str | None = None) -> tuple[int, ...]:
    """The prompt's token ids; one beginning-of-sequence token at most."""
    return _prompt(tokenizer, question, template)[1]


def encode(
    tokenizer: Any, example: Example, *, max_length: int | None = None, template: str | None = None
) -> Encoded | None:
    """The example as token ids; None where prompt and solution together do not fit `max_length` tokens.

    Prompt and solution are tokenised apart: no token straddles the boundary, so the prompt that a model is scored
    after is the prompt that it completes. A prompt that ends in a letter or a colon is followed by one space.

    After a chat template's prompt the solution is what the template makes of it, up to the token that ends the turn:
    that is what TRL and others train on. Where the template does not go on from its own prompt, it is the bare text and
    the end-of-sequence token, as after any other prompt.
    """
    prompt, before = _prompt(tokenizer, example.question, template)
    solution = _turn(tokenizer, example, prompt) if _is_chat(tokenizer, template) else ()
    if not solution:
        apart = prompt[-1:].isspace() or _is_special(tokenizer, before[-1:]) or _begins_with_space(tokenizer)
        gap = "" if apart else " "
        solution = _ids(tokenizer, gap + example.solution.strip())
        if tokenizer.eos_token_id is not None and solution[-1:] != (tokenizer.eos_token_id,):
            solution = (*solution, tokenizer.eos_token_id)
    if max_length is not None and len(before) + len(solution) > max_length:
        return None
    return Encoded(example.id, before, solution)


def end_ids(tokenizer: Any) -> set[int]:
    """Tokens that end a solution: the end-of-sequence token, and the one that ends a turn of the chat template."""
    ends = {tokenizer.eos_token_id} - {None}
    if _is_chat(tokenizer, None):
        some = Example("", "Why?", "So.", "")
        ends |= set(_turn(tokenizer, some, prompt_text(tokenizer, some.question))[-1:])
    return ends


def completion_text(tokenizer: Any, ids: Sequence[int]) -> str:
    """What the completion `ids` say: special tokens and the space around left out, nothing else touched."""
    text = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return str(text).strip()


def _prompt(tokenizer: Any, question: str, template: str | None) -> tuple[str, tuple[int, ...]]:
    text = prompt_text(tokenizer, question, template)
    ids = _ids(tokenizer, text)
    # A chat template writes its own special tokens. A plain prompt gets what the tokenizer puts first (bos), but not
    # what it puts last: an eos there would end the sequence before the solution.
    first = tokenizer.bos_token_id
    if not _is_chat(tokenizer, template) and first is not None and ids[:1] != (first,) and _adds_bos(tokenizer):
        ids = (first, *ids)
    return text, ids


def _is_chat(tokenizer: Any, template: str | None) -> bool:
    return template is None and bool(getattr(tokenizer, "chat_template", None))


def _rendered(tokenizer: Any, said: dict[str, str], **more: Any) -> str:
    turns = [{"role": role, "content": text} for role, text in said.items()]
    template = tokenizer.get_chat_template()
    if "strftime_now" in template:
        template = _DATED + template
    return str(tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False, **more))


def _turn(tokenizer: Any, example: Example, prompt: str) -> tuple[int, ...]:
    """What the chat template writes after its prompt where this is the reply; empty where it cannot be told."""
    try:
        whole = _rendered(tokenizer, {"user": example.question, "assistant": example.solution.strip()})
    except Exception:  # jinja's errors, and whatever a template raises by itself
        return ()
    ids = _ids(tokenizer, whole.removeprefix(prompt)) if whole.startswith(prompt) else ()
    ends = [at for at, token in enumerate(ids) if token in tokenizer.added_tokens_decoder]
    if not ends or tokenizer.decode(list(ids[ends[-1] + 1 :])).strip():
        return ()
    return ids[: ends[-1] + 1]


def _ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(int(token) for token in tokenizer(text, add_special_tokens=False)["input_ids"])


def _adds_bos(tokenizer: Any) -> bool:
    built: list[int] = tokenizer("a")["input_ids"]
    return built[:1] == [tokenizer.bos_token_id]


def _begins_with_space(tokenizer: Any) -> bool:
    """Whether the tokenizer itself puts a space before a text (SentencePiece models do)."""
    tokens: list[str] = tokenizer.convert_ids_to_tokens(list(_ids(tokenizer, "a")))
    return bool(tokens) and tokens[0].startswith("▁")


def _is_special(tokenizer: Any, last: tuple[int, ...]) -> bool:
    return bool(last) and last[0] in tokenizer.all_special_ids
