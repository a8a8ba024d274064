"""Workers of a sweep: as processes, Ray actors or one Slurm array, each doing whole runs."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from overmem.audit.executors import Launch, WorkersEnded, executor_of
from overmem.observe.queue import POLL
from overmem.sweep.conditions import PlannedRun, planned_runs
from overmem.sweep.options import read_sweep
from overmem.sweep.work import Progress, failure, is_done, work_through


@dataclass(frozen=True, kw_only=True)
class SweepLaunch(Launch):
    """Workers on the runs of a sweep."""

    path: str
    """Of the sweep file."""
    output: str
    """Folder of the sweep."""

    @property
    def name(self) -> str:
        """Of the sweep."""
        return Path(self.output).resolve().name

    @property
    def logs(self) -> Path:
        """Folder of what the workers print."""
        return Path(self.output).resolve() / "workers"

    def command(self, *more: str) -> list[str]:
        """The command line of one worker."""
        return [sys.executable, "-m", "overmem", "worker", str(Path(self.path).resolve()), *more]

    def work(self) -> None:
        """Work on runs of the sweep until all are done."""
        sweep = read_sweep(self.path)
        work_through(planned_runs(sweep, self.path), sweep.keep)


def run_workers(launch: SweepLaunch, runs: Sequence[PlannedRun], executor: str, *, progress: Progress) -> None:
    """Start workers and wait until every run is done or has failed.

    Args:
        launch: which workers.
        runs: of the sweep.
        executor: name of the executor.
        progress: called with how many runs are over.

    Raises:
        WorkersEnded: all workers have ended before the work.
    """
    if all(map(_is_over, runs)):
        return
    fleet = executor_of(executor)(launch)
    try:
        while (over := sum(map(_is_over, runs))) < len(runs):
            try:
                alive = fleet.tend(over)
            except WorkersEnded:
                if not all(map(_is_over, runs)):  # else the last of them ended after the look
                    raise
                break
            progress(f"{alive} workers", float(over), float(len(runs)))
            time.sleep(POLL)
    finally:
        fleet.close()


def _is_over(planned: PlannedRun) -> bool:
    return is_done(planned) or failure(planned) is not None
