"""Starts the workers of an audit, and follows their progress in the files of the run."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from overmem import store
from overmem.audit.executors import Fleet, Launch, executor_of, watch_until_done
from overmem.audit.executors.local_processes import loading
from overmem.audit.options import Audit
from overmem.audit.worker_options import Worker
from overmem.errors import BadRequest
from overmem.observe.queue import POLL, WorkQueue
from overmem.observe.work import UnitKey
from overmem.store.leases import read_holder


@dataclass(frozen=True, kw_only=True)
class AuditLaunch(Launch):
    """Workers on the queue of a run."""

    run: store.Run
    engine: str | None = None
    """An engine "module:Class" that the user named."""
    run_code: bool = False

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return self.run.root.resolve().name

    @property
    def logs(self) -> Path:
        """Folder for the output of the workers."""
        return self.run.worker_logs_path.resolve()

    @property
    def options(self) -> dict[str, Any]:
        """Options of `overmem worker`."""
        options: dict[str, Any] = {"out": str(self.run.home.resolve())}
        if self.engine is not None and ":" in self.engine:
            options["engine"] = self.engine
        return options | ({"run_code": True} if self.run_code else {})

    def command(self, *more: str) -> list[str]:
        """The command line of one worker."""
        flags = [
            text
            for name, value in self.options.items()
            for text in ([f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)]))
        ]
        return [sys.executable, "-m", "overmem", "worker", str(self.run.root.resolve()), *flags, *more]

    def work(self) -> None:
        """Work on the queue until all units are done."""
        from overmem.audit.worker import work  # a worker loads torch; the process that starts workers need not

        work(Worker(str(self.run.root.resolve()), device=self.device, **self.options))


@dataclass(frozen=True)
class WorkerStatus:
    """One worker at one moment."""

    name: str
    """Host and process."""
    unit: str
    seconds: float
    """Seconds since it was first seen to work on this unit."""


@dataclass(frozen=True)
class WorkStatus:
    """The progress of all workers."""

    done: int
    """Number of units that are done or left out."""
    total: int
    seconds: float
    """Seconds since the workers were started."""
    share: float
    """Share of the whole work that is done, by its estimated cost."""
    alive: int
    """Number of workers that are running or waiting to run."""
    workers: tuple[WorkerStatus, ...]
    """The workers that hold a unit."""
    failures: Mapping[str, str]
    """Checkpoint -> why it cannot be observed."""

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all units are done, at the pace so far; None before the first unit is done."""
        return self.seconds * (1 - self.share) / self.share if self.share > 0 else None

    @property
    def units_per_minute(self) -> float:
        """Units done per minute."""
        return 60 * self.done / self.seconds if self.seconds > 0 else 0.0


def check_launch(workers: int, executor: str) -> None:
    """Refuse options that cannot be met.

    Raises:
        BadRequest: no workers, or an unknown executor.
    """
    executor_of(executor)
    if workers < 1:
        raise BadRequest(f"--workers {workers}; allowed: 1 or more")


def launch_of(config: Audit, run: store.Run) -> Launch:
    """The workers that these options of an audit start."""
    return AuditLaunch(
        run=run,
        workers=config.workers,
        device=config.device,
        engine=config.engine,
        run_code=config.run_code,
        slurm=config.slurm,
    )


@contextmanager
def loading_workers(config: Audit) -> Iterator[Fleet | None]:
    """Workers on this machine that load their libraries while the audit is planned; None for other executors."""
    plans_at_once = config.until is None and config.budget is None
    if config.executor != "local" or config.workers == 1 or not plans_at_once or not Path(config.run).is_dir():
        yield None
        return
    fleet = loading(launch_of(config, store.open_run(config.run, config.out)))
    try:
        yield fleet
    finally:
        fleet.close()


def run_workers(
    launch: Launch,
    queue: WorkQueue,
    executor: str,
    *,
    fleet: Fleet | None = None,
    show: Callable[[WorkStatus], None] = lambda status: None,
) -> None:
    """Start workers and wait until every unit is done or left out.

    Args:
        launch: the workers.
        queue: the units.
        executor: name of the executor.
        fleet: its workers, if they were started early.
        show: called with the progress, about twice a second.

    Raises:
        WorkersEnded: all workers have ended before all units were done.
    """
    if not queue.units:
        return
    if fleet is None:
        fleet = executor_of(executor)(launch)
    else:
        fleet.begin()
    monitor = _Monitor(queue, time.monotonic())

    def poll() -> tuple[int, bool]:
        monitor.held = queue.look().held
        return len(queue.finished), not queue.remaining

    watch_until_done(fleet, poll, lambda alive: show(monitor.status(alive)), pause=POLL)


@dataclass
class _Monitor:
    """Follows the progress of the workers."""

    queue: WorkQueue
    start: float
    held: tuple[UnitKey, ...] = ()
    """Units that workers held at the last poll."""
    _since: dict[UnitKey, tuple[str, float]] = field(default_factory=dict)
    """Unit -> token of its lease, and when that was first seen."""

    def status(self, alive: int) -> WorkStatus:
        """The progress now."""
        now, run = time.monotonic(), self.queue.run
        workers = []
        for key in self.held:
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
