"""The text of single tokens, so that scores can be shown without a tokenizer."""

from collections.abc import Iterable
from typing import Any

_BEFORE = "a"
"""Text to decode before a token, so that its leading space is kept."""


def token_texts(tokenizer: Any, token_ids: Iterable[int]) -> dict[int, str]:
    """Token id -> its text including a leading space, in the order of ids.

    A token that is only part of a character becomes the replacement character.
    """
    before = list(tokenizer(_BEFORE, add_special_tokens=False)["input_ids"])
    start = _decode(tokenizer, before)
    texts = {}
    for token in sorted(set(token_ids)):
        text = _decode(tokenizer, [*before, token])
        texts[int(token)] = text[len(start) :] if text.startswith(start) else _decode(tokenizer, [token])
    return texts


def _decode(tokenizer: Any, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))
