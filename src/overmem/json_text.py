"""JSON and other values that somebody else wrote."""

import json
from typing import Any

HALF_A_CHARACTER = "it holds half of a character (a lone surrogate), which is no text"


def is_text(values: object) -> bool:
    """Whether every text in a value of JSON can be encoded: no lone surrogate is in it."""
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: not JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
