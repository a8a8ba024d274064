"""How long units take, as the worker that does them has measured it: only to order them, and to tell the time left."""

from dataclasses import dataclass, field

from overmem.observe.work import WorkUnit

_GENERATED = 4.0
"""What a generated token costs, in tokens that are read."""


@dataclass
class Pace:
    """Seconds of the units that were done so far, by split, and what follows for the others."""

    repeats: int = 1
    """Completions of a prompt."""
    _measured: dict[tuple[str, tuple[str, ...]], list[float]] = field(default_factory=dict)
    _cost: dict[tuple[str, tuple[str, ...]], float] = field(default_factory=dict)
    _seconds: float = 0.0
    _tokens: float = 0.0

    def record(self, unit: WorkUnit, seconds: float) -> None:
        """Note how long a unit took."""
        self._measured.setdefault((unit.split.name, unit.kinds), []).append(seconds)
        self._seconds += seconds
        self._tokens += self.tokens(unit)

    def seconds(self, unit: WorkUnit) -> float:
        """About how long a unit takes: as the same split did elsewhere, else by its tokens.

        Before the first unit is done a second is the time of a thousand tokens: right in proportion only.
        """
        if times := self._measured.get((unit.split.name, unit.kinds)):
            return sum(times) / len(times)
        return self.tokens(unit) * (self._seconds / self._tokens if self._tokens else 1e-3)

    def tokens(self, unit: WorkUnit) -> float:
        """What a unit costs, in tokens that are read: completions as long as the reference solutions count fourfold."""
        key = (unit.split.name, unit.kinds)
        if key not in self._cost:
            read = sum(len(e.input_ids) for e in unit.split.encoded)
            generated = self.repeats * unit.split.solution_tokens if "samples" in unit.kinds else 0
            self._cost[key] = 1.0 + read + _GENERATED * generated
        return self._cost[key]
