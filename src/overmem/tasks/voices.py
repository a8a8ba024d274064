"""The phrasing of the task `wordproblems`: templates of solutions, and neutral sentences before a problem."""

from dataclasses import dataclass
from typing import Any, ClassVar

from overmem.assets import read_asset


@dataclass(frozen=True)
class Voice:
    """Templates of solutions: {a} is the total before a step, {b} the size of the change, {c} the total after it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    opening: tuple[str, ...]
    gain: tuple[str, ...]
    loss: tuple[str, ...]
    closing: tuple[str, ...]


VOICES: dict[str, Voice] = read_asset("wordproblems/voices.json", dict[str, Voice])
"""`book` is used in pebble's pretraining, `tutor` in the fine-tuning data."""

PREAMBLES: tuple[str, ...] = read_asset("wordproblems/preambles.json", tuple[str, ...])
"""Neutral sentences before a problem."""
