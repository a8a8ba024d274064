"""Workers of a sweep, as processes, Ray actors or a Slurm job array; each does whole runs."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from overmem.audit.executors import Launch, executor_of, watch_until_done
from overmem.observe.clock import Progress
from overmem.observe.queue import POLL
from overmem.sweep.conditions import PlannedRun, read_planned
from overmem.sweep.work import is_over, work_through


@dataclass(frozen=True, kw_only=True)
class SweepLaunch(Launch):
    """Workers on the runs of a sweep."""

    path: str
    """Path of the sweep file."""
    output: str
    """Folder of the sweep."""

    @property
    def name(self) -> str:
        """Name of the sweep's folder."""
        return Path(self.output).resolve().name

    @property
    def logs(self) -> Path:
        """Folder for the output of the workers."""
        return Path(self.output).resolve() / "workers"

    def command(self, *more: str) -> list[str]:
        """The command line of one worker."""
        return [sys.executable, "-m", "overmem", "worker", str(Path(self.path).resolve()), *more]

    def work(self) -> None:
        """Work on runs of the sweep until all are done."""
        sweep, runs = read_planned(self.path)
        work_through(runs, sweep.keep)


def run_workers(launch: SweepLaunch, runs: Sequence[PlannedRun], executor: str, *, progress: Progress) -> None:
    """Start workers and wait until every run is done or has failed.

    Args:
        launch: the workers.
        runs: the runs of the sweep.
        executor: name of the executor.
        progress: called with the number of runs that are over.

    Raises:
        WorkersEnded: all workers have ended before all runs were done.
    """
    if all(map(is_over, runs)):
        return
    fleet = executor_of(executor)(launch)

    def count() -> int:
        return sum(map(is_over, runs))

    watch_until_done(
        fleet,
        lambda: ((over := count()), over == len(runs)),
        lambda alive: progress(f"{alive} workers", float(count()), float(len(runs))),
        pause=POLL,
    )
