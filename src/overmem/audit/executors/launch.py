"""The interface of executors: each takes a `Launch`, which describes the workers, and returns a `Fleet` of them."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from overmem.errors import OvermemError


class WorkersEnded(OvermemError):
    """All workers have ended although units are left. The message says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Launch(ABC):
    """Which workers to start. A subclass defines what they work on."""

    workers: int
    device: str = "auto"
    slurm: tuple[str, ...] = ()
    """Options of sbatch, "key=value" each."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the run or sweep, for job names."""

    @property
    @abstractmethod
    def logs(self) -> Path:
        """Folder for the output of the workers."""

    @abstractmethod
    def command(self, *more: str) -> list[str]:
        """The command line of one worker, with absolute paths: it may start in another folder."""

    @abstractmethod
    def work(self) -> None:
        """Do the work of one worker, in the current process.

        Raises:
            OvermemError: the request cannot be met.
        """


class Fleet(ABC):
    """Workers that were started."""

    def begin(self) -> None:
        """Let workers begin that were started early and wait."""
        return

    @abstractmethod
    def restart_killed(self, done: int) -> int:
        """Start workers again that were killed; returns how many are running or waiting to run.

        Args:
            done: number of units done so far, to distinguish workers that make progress from workers that die at once.

        Raises:
            WorkersEnded: no worker is running and a restart would not help.
        """

    @abstractmethod
    def close(self) -> None:
        """End the workers on this machine; called once, also after an error."""


def watch_until_done(
    fleet: Fleet, poll: Callable[[], tuple[int, bool]], show: Callable[[int], None], *, pause: float
) -> None:
    """Restart killed workers until all units are done. The workers are closed at the end, also after an error.

    Args:
        fleet: the workers.
        poll: returns the number of units done, and whether that is all.
        show: called after each poll with the number of workers that are running or waiting to run.
        pause: seconds between two polls.

    Raises:
        WorkersEnded: all workers have ended before all units were done.
    """
    try:
        while True:
            done, is_over = poll()
            try:
                alive = 0 if is_over else fleet.restart_killed(done)
            except WorkersEnded:
                if not poll()[1]:
                    raise
                continue  # the last worker ended, with all units done, after the first poll
            show(alive)
            if is_over:
                return
            time.sleep(pause)
    finally:
        fleet.close()
