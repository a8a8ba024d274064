"""The progress of one process, in seconds of work as estimated at the start."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from overmem.models.loading import Model
from overmem.observe.throughput import Throughput, format_duration
from overmem.observe.warmup import measure_throughput
from overmem.observe.work import ObservationSetup, UnitKey, WorkUnit

_WARM_UP = 1.0
"""Seconds of warm-up for scoring and for generation each, if no estimate was requested."""
Progress: TypeAlias = Callable[[str, float, float], None]
"""(current unit, seconds of work done, seconds of all work), in seconds as estimated at the start."""


@dataclass
class Clock:
    """Reports progress."""

    progress: Progress
    throughput: Throughput
    total: float
    others: float = 0.0
    """Seconds of the units that other workers did."""
    _own: float = 0.0
    """Seconds of the units that this process did."""
    _started: set[UnitKey] = field(default_factory=set)

    def start(self, unit: WorkUnit) -> Callable[[int], None]:
        """Report that a unit is started; returns a function to call with numbers of finished examples."""
        per_example = self.throughput.seconds(unit.split, unit.kinds) / max(1, len(unit.split.encoded))
        self._started.add(unit.key)
        self.progress(str(unit), self.others + self._own, self.total)

        def advance(examples: int) -> None:
            self._own += per_example * examples
            self.progress(str(unit), self.others + self._own, self.total)

        return advance

    def done_elsewhere(self, units: Sequence[WorkUnit]) -> None:
        """Count the finished units that were not started by this process."""
        elsewhere = [unit for unit in units if unit.key not in self._started]
        self.others = sum(self.throughput.seconds(unit.split, unit.kinds) for unit in elsewhere)


def started_clock(
    setup: ObservationSetup,
    work: Sequence[WorkUnit],
    model: Model,
    throughput: Throughput | None,
    say: Callable[[str], None],
    progress: Progress,
) -> Clock:
    """A clock for all the work, from the throughput of this machine; `say` is called with the estimate.

    Args:
        setup: what all units share.
        work: all units.
        model: a checkpoint to measure the throughput on.
        throughput: the throughput of this machine, if it was measured before.
        say: called with one line.
        progress: called by the clock.
    """
    if throughput is None:
        splits = list({unit.split.name: unit.split for unit in work}.values())
        throughput = measure_throughput(
            model, setup.tokenizer, splits, setup.decoding, token_budget=setup.token_budget, seconds=_WARM_UP
        )
    total = sum(throughput.seconds(unit.split, unit.kinds) for unit in work)
    count = sum(len(unit.kinds) for unit in work)
    dtype = str(model.dtype).removeprefix("torch.")
    say(f"{count} units of work, about {format_duration(total)} on {model.device} in {dtype}")
    return Clock(progress, throughput, total)
