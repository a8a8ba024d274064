"""What a probe is: a function that measures one checkpoint and, where it can get worse, a comparison of two."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from overmem.records import Estimate, Measurement, Snapshot


@dataclass(frozen=True)
class Comparison:
    """One way in which a later checkpoint may be worse than the recommended one, on the same examples."""

    name: str
    worse: Estimate
    """Positive is worse."""
    p: float
    """Two-sided, that there is no difference."""
    sentence: str
    """What the difference says; `{}` takes its size."""
    is_share: bool = True
    """Whether it is a difference of shares, shown in points; else it has a unit of its own."""


Consequences: TypeAlias = Callable[[Snapshot, Snapshot, Snapshot | None], Iterator[Comparison]]
"""(recommended, later, base or None) -> what may have become worse."""


@dataclass(frozen=True)
class Probe:
    """One line of the table."""

    measure: Callable[..., list[Measurement]]
    """(snapshot, *, base, minimum) -> its measurements."""
    consequences: Consequences | None = None
    """None where nothing that it measures can be called a harm."""

    def __call__(self, snapshot: Snapshot, **others: Snapshot | None) -> list[Measurement]:
        """The measurements of one checkpoint."""
        return self.measure(snapshot, **others)
