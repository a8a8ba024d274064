"""What every executor is given, and what it returns: workers that are running somewhere."""

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from overmem import store
from overmem.errors import OvermemError


class WorkersEnded(OvermemError):
    """All workers have ended and units are left. The message says why, and what to do."""


@dataclass(frozen=True)
class Launch:
    """Which workers to start."""

    run: store.Run
    workers: int
    device: str = "auto"
    engine: str | None = None
    """An engine "module:Class" that the user named."""
    run_code: bool = False
    slurm: tuple[str, ...] = ()
    """Options of sbatch, "key=value" each."""

    @property
    def options(self) -> dict[str, str | bool]:
        """Options of `overmem worker`; paths are absolute, because a worker may start in another folder."""
        given: dict[str, str | bool] = {"out": str(self.run.home.resolve())}
        if self.engine is not None and ":" in self.engine:
            given["engine"] = self.engine
        return given | ({"run_code": True} if self.run_code else {})

    def command(self, *more: str) -> list[str]:
        """The command line of one worker."""
        flags = [
            text
            for name, value in self.options.items()
            for text in ([f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)]))
        ]
        return [sys.executable, "-m", "overmem", "worker", str(self.run.root.resolve()), *flags, *more]

    @property
    def logs(self) -> Path:
        """Folder of what the workers print."""
        return self.run.worker_logs_path.resolve()


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
