"""Programs, their limits and outcomes, and what a sandbox is."""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

Status = Literal["right", "wrong", "error", "timeout", "refused"]

HARNESS = Path(__file__).with_name("harness")
"""The folder that runs inside the sandbox, in a Python interpreter without site-packages."""
TIMEOUT_SIGNALS = (signal.SIGALRM, signal.SIGXCPU)
"""Signals that end the harness at its time limits."""


@dataclass(frozen=True)
class Program:
    """A program and its tests."""

    source: str
    tests: str
    """Statements about the names that the source defines; an AssertionError means that the program is wrong."""


@dataclass(frozen=True)
class Limits:
    """The resources that one program may use."""

    seconds: float = 5.0
    """CPU time. The wall-clock limit is longer (`max_seconds`): it ends programs that wait."""
    memory: int = 1 << 30
    """Address space, in bytes."""
    file_size: int = 1 << 20
    """Maximum bytes per file, if the sandbox allows writing."""
    open_files: int = 32

    @property
    def max_seconds(self) -> float:
        """Limit of wall-clock time, in seconds: 3 times the CPU time, up to 24 times while the machine is busy.

        A program that computes is ended by its CPU time alone, so its outcome does not depend on what else runs.
        """
        return 3 * self.seconds * min(max(processes_per_cpu(), 1.0), 8.0)


def processes_per_cpu() -> float:
    """Processes that ran or waited for a CPU in the last minute, per CPU; 1 where the system does not count them."""
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except (AttributeError, OSError):
        return 1.0


@dataclass(frozen=True)
class Outcome:
    """The outcome of one program."""

    status: Status
    """`right`: all tests passed. `wrong`: an assertion failed. `error`: an exception, or an exit before the end of the
    tests. `timeout`: over a time limit. `refused`: it tried something that the sandbox denies."""
    detail: str = ""
    """One line: the exception, or what was denied."""


@runtime_checkable
class Sandbox(Protocol):
    """A sandbox: runs one program at a time, from any thread."""

    name: str

    def missing(self) -> str:
        """Why it cannot be used on this machine and what to install; empty if it can."""

    def run(self, program: Program, limits: Limits) -> Outcome:
        """Run one program to its end or its limits."""


def interpreter() -> str:
    """The Python that runs the programs: this one, outside its virtual environment."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


def readable_folders() -> list[str]:
    """The folders that the interpreter needs to start: its installation and the system's libraries."""
    system = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
    return [str(Path(sys.base_prefix).resolve()), *(folder for folder in system if Path(folder).exists())]
