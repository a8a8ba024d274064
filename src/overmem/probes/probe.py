"""What a probe is: a function that measures one checkpoint, and optionally a comparison of two checkpoints."""

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
    """Two-sided p of no difference."""
    sentence: str
    """What the difference means; `{}` is replaced by its size."""
    is_share: bool = True
    """Whether it is a difference of shares, shown in percentage points."""


Consequences: TypeAlias = Callable[[Snapshot, Snapshot, Snapshot | None], Iterator[Comparison]]
"""(recommended, later, base or None) -> comparisons."""


@dataclass(frozen=True)
class Probe:
    """An entry of the table of probes."""

    measure: Callable[..., list[Measurement]]
    """(snapshot, *, base, minimum) -> measurements."""
    consequences: Consequences | None = None
    """None if nothing that the probe measures is a harm."""

    def __call__(self, snapshot: Snapshot, **others: Snapshot | None) -> list[Measurement]:
        """The measurements of one checkpoint."""
        return self.measure(snapshot, **others)
