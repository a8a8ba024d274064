"""Rendering: an example as the token ids of its prompt and of its solution. The tokenizer is passed in; no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

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
_CLOSINGS: WeakKeyDictionary[Any, tuple[Any, "_Closing"]] = WeakKeyDictionary()
"""Tokenizer -> its chat template and eos, and how that template closes a reply: asked for at every example."""


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


@dataclass(frozen=True)
class _Closing:
    """How a chat template closes a reply."""

    token: int | None = None
    """The added token that it writes there, white space apart; None where it writes none."""
    mark: str = ""
    """The token as it is written."""
    after: str = ""
    """What is written after it."""


def prompt_text(tokenizer: Any, question: str, template: str | None = None) -> str:
    r"""The prompt that asks `question`: by `template`, else the tokenizer's chat template, else PLAIN.

    A `\n` of two characters, as a shell gives it, is a line break, in a template that has no other.

    Raises:
        BadRequest: a template without {question}.
    """
    if _is_chat(tokenizer, template):
        return _rendered(tokenizer, {"user": question}, add_generation_prompt=True)
    chosen = PLAIN if template is None else template
    if "\n" not in chosen:
        chosen = chosen.replace("\\n", "\n")
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

    No token straddles the boundary: the prompt that a model is scored after is the prompt that it completes. One that
    ends in a letter or a colon is followed by one space.

    After a chat template's prompt the solution is what the template makes of it, up to the token that ends the turn:
    that is what TRL and others train on. Where the template does not go on from its own prompt, it is the bare text and
    `end_token`, as after any other prompt.
    """
    prompt, before = _prompt(tokenizer, example.question, template)
    end = end_token(tokenizer, template)
    said = example.solution.strip()
    solution = _turn(tokenizer, example.question, said, prompt, before) if _is_chat(tokenizer, template) else ()
    if not solution:
        apart = prompt[-1:].isspace() or _is_special(tokenizer, before[-1:]) or _begins_with_space(tokenizer)
        solution = _ids(tokenizer, said if apart else f" {said}")
        if end is not None and solution[-1:] != (end,):
            solution = (*solution, end)
    if max_length is not None and len(before) + len(solution) > max_length:
        return None
    return Encoded(example.id, before, solution)


def end_token(tokenizer: Any, template: str | None = None) -> int | None:
    """The token that ends a solution: what the chat template closes a reply with, else the end-of-sequence token.

    Qwen2.5 has both: a sequence ends in <|endoftext|>, a turn in <|im_end|>. None where there is neither.
    """
    found = _closing(tokenizer).token if _is_chat(tokenizer, template) else None
    eos: int | None = tokenizer.eos_token_id
    return eos if found is None else found


def end_ids(tokenizer: Any) -> set[int]:
    """Tokens that end a solution, after whatever prompt: `end_token` and the end-of-sequence token."""
    return {end for end in (tokenizer.eos_token_id, end_token(tokenizer)) if end is not None}


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


def _conversation(tokenizer: Any, question: str, said: str) -> str:
    """Question and reply as the chat template writes them; empty where it cannot."""
    try:
        return _rendered(tokenizer, {"user": question, "assistant": said})
    except Exception:  # jinja's errors, and whatever a template raises by itself
        return ""


def _closing(tokenizer: Any) -> _Closing:
    now = (tokenizer.chat_template, tokenizer.eos_token)
    then, closing = _CLOSINGS.get(tokenizer, (None, _Closing()))
    if then != now:
        closing = _found_closing(tokenizer)
        _CLOSINGS[tokenizer] = now, closing
    return closing


def _found_closing(tokenizer: Any) -> _Closing:
    said = "So it is."
    _, found, rest = _conversation(tokenizer, "Why?", said).rpartition(said)
    there = _ids(tokenizer, rest) if found else ()
    first = next((token for token in there if tokenizer.decode([token]).strip()), None)
    if first not in tokenizer.added_tokens_decoder:
        return _Closing()
    mark = tokenizer.convert_ids_to_tokens(first)
    return _Closing(first, mark, rest.partition(mark)[2])


def _turn(tokenizer: Any, question: str, said: str, prompt: str, before: tuple[int, ...]) -> tuple[int, ...]:
    """What the chat template writes after its prompt where `said` is the reply; empty where it cannot be told."""
    closing = _closing(tokenizer)
    whole = _conversation(tokenizer, question, said).removesuffix(closing.after)
    if closing.token is None or not whole.startswith(prompt) or not whole.endswith(closing.mark):
        return ()
    ids = _ids(tokenizer, whole)
    # Together where no token straddles the boundary: alone, a SentencePiece tokenizer puts a space before the reply.
    return ids[len(before) :] if ids[: len(before)] == before else _ids(tokenizer, whole[len(prompt) :])


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
