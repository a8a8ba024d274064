"""The queue of an audit: the units that are left to do, shared by any number of workers on a shared filesystem.

There is no server: the unit files show what is done, and the lease files next to them what is in progress
(`overmem.store.leases`). A worker does the units of the checkpoint that it has loaded, then moves to the one with the
most work left per worker. A checkpoint's longest units come first, so that workers end at about the same time.
"""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from overmem import store
from overmem.observe.pace import Pace
from overmem.observe.work import UnitKey, WorkUnit, is_done
from overmem.store.leases import Lease, Leases

_FAILED = "failed.json"
_LISTED = (_FAILED, ".parquet", ".lease")
POLL = 0.5
"""Seconds between two listings of the queue while other workers hold all that is left."""


@dataclass(frozen=True)
class QueueState:
    """The units that are left at one moment."""

    free: tuple[UnitKey, ...]
    """Units that no worker is doing, in the order of the plan."""
    held: tuple[UnitKey, ...]
    """Units that other workers are doing."""


def preferred(state: QueueState, loaded: str | None, seconds: Callable[[UnitKey], float]) -> list[UnitKey]:
    """The free units in the order in which a worker takes them.

    Args:
        state: the free and the held units.
        loaded: the checkpoint whose weights the worker has in memory.
        seconds: the estimated duration of a unit.
    """
    workers = Counter(key.checkpoint for key in state.held)
    seconds_left: defaultdict[str, float] = defaultdict(float)
    for key in state.free:
        seconds_left[key.checkpoint] += seconds(key)

    def order(key: UnitKey) -> tuple[bool, float, float]:
        share = seconds_left[key.checkpoint] / (1 + workers[key.checkpoint])
        return key.checkpoint != loaded, -share, -seconds(key)

    return sorted(state.free, key=order)  # stable: equal units stay in the order of the plan


@dataclass
class WorkQueue:
    """The units of an audit, from the point of view of one worker."""

    run: store.Run
    units: Sequence[WorkUnit]
    """The units that were left to do when the plan was written."""
    leases: Leases = field(default_factory=Leases)
    pace: Pace = field(default_factory=Pace)
    _finished: set[UnitKey] = field(default_factory=set)
    _seen: dict[UnitKey, tuple[tuple[int, int, int], ...]] = field(default_factory=dict)
    """Unit -> inode, time and size of its files when they were last not current."""

    _trusted: dict[UnitKey, float] = field(default_factory=dict)
    """Unit held by another worker -> when its lease is to be checked again."""

    def __post_init__(self) -> None:
        """Index the units, and construct their paths once, because that is slow."""
        self._by_key = {unit.key: unit for unit in self.units}
        self._leases = {unit.key: self.run.lease_path(*unit.key) for unit in self.units}
        self._folders = {unit.checkpoint: self.run.failure_path(unit.checkpoint).parent for unit in self.units}
        self._files = {
            unit.key: [self.run.unit_path(*unit.key, kind).name for kind in unit.kinds] for unit in self.units
        }

    @property
    def remaining(self) -> list[WorkUnit]:
        """Units that are neither done nor of a checkpoint that failed, as of the last listing."""
        return [unit for unit in self.units if unit.key not in self._finished]

    @property
    def finished(self) -> list[WorkUnit]:
        """Units that are done, or of a checkpoint that failed."""
        return [unit for unit in self.units if unit.key in self._finished]

    def take(self, loaded: str | None = None, *, skip: Collection[str] = ()) -> tuple[WorkUnit, Lease] | None:
        """A unit to do and its lease; None if other workers hold all that are left.

        Args:
            loaded: the checkpoint whose weights are in memory.
            skip: checkpoints to leave to other workers.
        """
        state = self.look()
        free = [key for key in state.free if key.checkpoint not in skip]
        held = list(state.held)
        while free:
            key = preferred(QueueState(tuple(free), tuple(held)), loaded, self._seconds)[0]
            lease = self.leases.take(self._leases[key])
            if lease is not None:
                if not self._is_done(self._by_key[key]):  # it may have been finished since the listing
                    return self._by_key[key], lease
                lease.release()
                self._finished.add(key)
            else:
                held.append(key)
            free.remove(key)
        return None

    def look(self) -> QueueState:
        """The free and the held units now, from one listing per checkpoint that has units left."""
        free: list[UnitKey] = []
        held: list[UnitKey] = []
        listings = {name: _listing(folder) for name, folder in self._folders.items()}
        for key, unit in self._by_key.items():
            if key in self._finished:
                continue
            files = listings[key.checkpoint]
            if _FAILED in files or self._is_done(unit, files):
                self._finished.add(key)
            else:
                (held if self._leases[key].name in files and self._is_held(key) else free).append(key)
        with_units_left = {key.checkpoint for key in (*free, *held)}
        self._folders = {name: folder for name, folder in self._folders.items() if name in with_units_left}
        return QueueState(tuple(free), tuple(held))

    def wait(self, until: Callable[[], bool], sleep: Callable[[float], None] = time.sleep) -> bool:
        """Wait until a unit may be free; False if none is left, or if `until` returns True."""
        while not until():
            state = self.look()
            if state.free:
                return True
            if not state.held:
                return False
            sleep(POLL)
        return False

    def _seconds(self, key: UnitKey) -> float:
        return self.pace.seconds(self._by_key[key])

    def _is_held(self, key: UnitKey) -> bool:
        """Whether another worker holds the unit's lease. Checked once per heartbeat."""
        now = self.leases.clock()
        if now < self._trusted.get(key, 0.0):
            return True
        is_held = self.leases.is_held(self._leases[key])
        if not is_held:
            self.leases.clear(self._leases[key])
        self._trusted[key] = now + self.leases.beat if is_held else 0.0
        return is_held

    def _is_done(self, unit: WorkUnit, files: dict[str, tuple[int, int, int]] | None = None) -> bool:
        if files is not None:
            names = self._files[unit.key]
            if not all(name in files for name in names):
                return False
            stamps = tuple(files[name] for name in names)
            if self._seen.get(unit.key) == stamps:
                return False
            self._seen[unit.key] = stamps
        return all(is_done(self.run, unit.checkpoint, unit.split, kind, unit.weights) for kind in unit.kinds)

    def done(self) -> list[tuple[UnitKey, str]]:
        """Every (unit, kind) of the queue that is done."""
        return [
            (unit.key, kind)
            for unit in self.units
            for kind in unit.kinds
            if is_done(self.run, unit.checkpoint, unit.split, kind, unit.weights)
        ]


def clear_leases(run: store.Run, units: Iterable[WorkUnit], leases: Leases) -> None:
    """Remove the leases that killed workers left: those of units that are done, and abandoned ones of any unit."""
    for unit in units:
        path = run.lease_path(*unit.key)
        if all(is_done(run, unit.checkpoint, unit.split, kind, unit.weights) for kind in unit.kinds):
            path.unlink(missing_ok=True)
    for path in run.home.glob("observations/*/.*.lease"):  # also of units that were done before
        leases.clear(path)


def _listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Name -> inode, modification time and size of the files in a folder; empty if it does not exist."""
    listed = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(_LISTED):
                    try:
                        status = entry.stat()
                    except FileNotFoundError:
                        continue  # a lease that was just released
                    listed[entry.name] = (status.st_ino, status.st_mtime_ns, status.st_size)
    except FileNotFoundError:
        return {}
    return listed
