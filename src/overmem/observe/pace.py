"""Estimates how long units take from those that this worker has done, to order them and to show the time left."""

from dataclasses import dataclass, field

from overmem.observe.work import WorkUnit

_GENERATED = 4.0
"""Time of a generated token divided by that of a prompt token."""


@dataclass
class Pace:
    """The seconds of the units done so far, and estimates for the others."""

    repeats: int = 1
    """Completions per prompt."""
    _measured: dict[tuple[str, tuple[str, ...]], list[float]] = field(default_factory=dict)
    _cost: dict[tuple[str, tuple[str, ...]], float] = field(default_factory=dict)
    _seconds: float = 0.0
    _tokens: float = 0.0

    def record(self, unit: WorkUnit, seconds: float) -> None:
        """Record how long a unit took."""
        self._measured.setdefault((unit.split.name, unit.kinds), []).append(seconds)
        self._seconds += seconds
        self._tokens += self.tokens(unit)

    def seconds(self, unit: WorkUnit) -> float:
        """The estimated seconds of a unit: from the same split at other checkpoints, else from its tokens.

        Before the first unit is done, a thousand tokens are assumed to take a second, which is only good for ordering.
        """
        if times := self._measured.get((unit.split.name, unit.kinds)):
            return sum(times) / len(times)
        return self.tokens(unit) * (self._seconds / self._tokens if self._tokens else 1e-3)

    def tokens(self, unit: WorkUnit) -> float:
        """The cost of a unit in prompt tokens; completions are assumed to be as long as the reference solutions."""
        key = (unit.split.name, unit.kinds)
        if key not in self._cost:
            read = sum(len(e.input_ids) for e in unit.split.encoded)
            generated = self.repeats * unit.split.solution_tokens if "samples" in unit.kinds else 0
            self._cost[key] = 1.0 + read + _GENERATED * generated
        return self._cost[key]
