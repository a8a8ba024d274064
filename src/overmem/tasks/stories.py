"""The story templates of the task `wordproblems`: assets/wordproblems/stories.json."""

from dataclasses import dataclass
from typing import Any, ClassVar

from overmem.assets import read_asset


@dataclass(frozen=True)
class Domain:
    """Templates of one kind of story. They may use {who}, {other}, {thing} and, except in `ask`, the number {n}."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    things: tuple[str, ...]
    start: tuple[str, ...]
    gain: tuple[str, ...]
    loss: tuple[str, ...]
    ask: tuple[str, ...]
    compares: bool = False
    """Whether each step compares a new person with the previous one, instead of changing one amount.

    The new person is always the subject: a model as small as pebble does not learn that "A is older than B" also
    determines B's age (after 7,000 pretraining steps it solved 22 of 40 such single steps and all 360 others).
    """


NAMES: tuple[str, ...] = read_asset("wordproblems/people.json", tuple[str, ...])
"""The people of every story."""

DOMAINS: dict[str, Domain] = read_asset("wordproblems/stories.json", dict[str, Domain])
"""The story domains by name."""
