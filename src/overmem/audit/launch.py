"""Workers that do an audit's units, and what is seen of them from here: the files of the run, and nothing else."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from overmem import store
from overmem.audit.executors import Launch, WorkersEnded, executor_of
from overmem.audit.options import Audit
from overmem.errors import BadRequest
from overmem.observe.queue import POLL, WorkQueue
from overmem.observe.work import UnitKey
from overmem.store.leases import read_holder


@dataclass(frozen=True)
class WorkerStatus:
    """One worker at one moment."""

    name: str
    """Host and process."""
    unit: str
    seconds: float
    """Since when it was first seen at this unit."""


@dataclass(frozen=True)
class WorkStatus:
    """How far all workers are."""

    done: int
    """Units that are done or left out, of those that were to be done."""
    total: int
    seconds: float
    """Since the workers were started."""
    share: float
    """Of the whole work, by its estimated cost."""
    alive: int
    """Workers that are running or waiting to."""
    workers: tuple[WorkerStatus, ...]
    """Those that hold a unit."""
    failures: Mapping[str, str]
    """Checkpoint -> why it cannot be observed."""

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all is done, at the pace so far; None before the first unit is done."""
        return self.seconds * (1 - self.share) / self.share if self.share > 0 else None

    @property
    def units_per_minute(self) -> float:
        """Units done in a minute."""
        return 60 * self.done / self.seconds if self.seconds > 0 else 0.0


def check_launch(workers: int, executor: str) -> None:
    """Refuse what cannot be launched.

    Raises:
        BadRequest: no workers, or an unknown executor.
    """
    executor_of(executor)
    if workers < 1:
        raise BadRequest(f"--workers {workers}; allowed: 1 or more")


def launch_of(config: Audit, run: store.Run) -> Launch:
    """Which workers these options of an audit start."""
    return Launch(run, config.workers, config.device, config.engine, config.run_code, config.slurm)


def run_workers(
    launch: Launch,
    queue: WorkQueue,
    executor: str,
    *,
    show: Callable[[WorkStatus], None] = lambda status: None,
) -> None:
    """Start workers and wait until every unit is done or left out.

    Args:
        launch: which workers.
        queue: the units.
        executor: name of the executor.
        show: called with how far the work is, about twice a second.

    Raises:
        WorkersEnded: all workers have ended before the work.
    """
    if not queue.units:
        return
    fleet = executor_of(executor)(launch)
    seen = _Seen(queue, time.monotonic())
    try:
        while True:
            state = queue.look()
            is_over = not state.free and not state.held
            try:
                alive = 0 if is_over else fleet.tend(len(queue.finished))
            except WorkersEnded:
                queue.look()
                if queue.remaining:
                    raise
                continue  # the last of them ended after the look
            show(seen.status(state.held, alive))
            if is_over:
                return
            time.sleep(POLL)
    finally:
        fleet.close()


@dataclass
class _Seen:
    """What was seen of the workers so far."""

    queue: WorkQueue
    start: float
    _since: dict[UnitKey, tuple[str, float]] = field(default_factory=dict)

    def status(self, held: tuple[UnitKey, ...], alive: int) -> WorkStatus:
        """How far the work is, when these units are held."""
        now, run = time.monotonic(), self.queue.run
        workers = []
        for key in held:
            holder = read_holder(run.lease_path(*key))
            if holder is None:
                continue
            token, since = self._since.get(key, ("", now))
            if token != holder.token:
                since = now
            self._since[key] = holder.token, since
            workers.append(WorkerStatus(f"{holder.host}:{holder.process}", " ".join(key), now - since))
        finished = self.queue.finished
        cost = {unit.key: self.queue.pace.tokens(unit) for unit in self.queue.units}
        failures = {name: store.read_failure(run, name) for name in {unit.checkpoint for unit in finished}}
        return WorkStatus(
            len(finished),
            len(self.queue.units),
            now - self.start,
            sum(cost[unit.key] for unit in finished) / sum(cost.values()),
            alive,
            tuple(sorted(workers, key=lambda worker: worker.name)),
            {name: reason for name, reason in failures.items() if reason is not None},
        )
