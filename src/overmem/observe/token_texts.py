"""The text of single tokens, for readers of scores that have no tokenizer."""

from collections.abc import Iterable
from typing import Any

_BEFORE = "a"
"""Decoded after another token, a token keeps the space that belongs to it."""


def token_texts(tokenizer: Any, token_ids: Iterable[int]) -> dict[int, str]:
    """Token id -> its text with the space that belongs to it, in the order of ids.

    A token that is part of a character only is shown as the replacement character.
    """
    before = list(tokenizer(_BEFORE, add_special_tokens=False)["input_ids"])
    start = _decoded(tokenizer, before)
    texts = {}
    for token in sorted(set(token_ids)):
        text = _decoded(tokenizer, [*before, token])
        texts[int(token)] = text[len(start) :] if text.startswith(start) else _decoded(tokenizer, [token])
    return texts


def _decoded(tokenizer: Any, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))
