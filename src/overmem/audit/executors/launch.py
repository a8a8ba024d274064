"""What every executor is given, and what it returns: workers that are running somewhere."""

from abc import ABC, abstractmethod
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
