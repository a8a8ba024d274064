"""Numbers with their uncertainty."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Measurement:
    """One number with its uncertainty, or no number and the reason."""

    checkpoint: str
    step: int
    split: str
    probe: str
    metric: str
    value: float | None
    stderr: float | None = None
    low: float | None = None
    """Lower end of the 95% interval."""
    high: float | None = None
    n: int = 0
    """Examples behind the number."""
    note: str = ""
    """Why there is no number, or a remark on it; text for readers, never parsed."""
    at: Mapping[str, float | int | str] = field(default_factory=dict)
    """Further coordinates of the number: `k`, `temperature`, `bin`, `rank`, `example`, `reference`."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% interval and n, or no value and the reason."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    note: str = ""
    stderr: float | None = None
