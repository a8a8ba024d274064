"""What every executor is given, and what it returns: workers that are running somewhere."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from overmem.errors import OvermemError


class WorkersEnded(OvermemError):
    """All workers have ended and units are left. The message says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Launch(ABC):
    """Which workers to start; what they work on is the subclass's."""

    workers: int
    device: str = "auto"
    slurm: tuple[str, ...] = ()
    """Options of sbatch, "key=value" each."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Of what the workers work on, for the name of a job."""

    @property
    @abstractmethod
    def logs(self) -> Path:
        """Folder of what the workers print."""

    @abstractmethod
    def command(self, *more: str) -> list[str]:
        """The command line of one worker, with absolute paths: it may start in another folder."""

    @abstractmethod
    def work(self) -> None:
        """Be one worker, in a process that an executor has made.

        Raises:
            OvermemError: the request cannot be met.
        """


class Fleet(ABC):
    """Workers that were started, wherever they run."""

    @abstractmethod
    def tend(self, done: int) -> int:
        """Look after the workers: start again what was killed; returns how many are running or waiting to.

        Args:
            done: units that are done by now, to tell workers that make progress from workers that die at once.

        Raises:
            WorkersEnded: none is running and none would be better for a restart.
        """

    @abstractmethod
    def close(self) -> None:
        """End what would otherwise be left behind on this machine; called once, also after an error."""


def tend_until_over(
    fleet: Fleet, look: Callable[[], tuple[int, bool]], show: Callable[[int], None], *, pause: float
) -> None:
    """Look after workers until all is done; they are closed at the end, also after an error.

    Args:
        fleet: the workers.
        look: how much is done, and whether that is all.
        show: called after each look with how many workers are running or waiting to.
        pause: seconds between two looks.

    Raises:
        WorkersEnded: all workers have ended before the work.
    """
    try:
        while True:
            done, is_over = look()
            try:
                alive = 0 if is_over else fleet.tend(done)
            except WorkersEnded:
                if not look()[1]:
                    raise
                continue  # the last of them ended after the look
            show(alive)
            if is_over:
                return
            time.sleep(pause)
    finally:
        fleet.close()
