"""What is run behind a wall, how much it may use, and what came of it."""

import json
import secrets
import selectors
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Protocol, runtime_checkable

Status = Literal["right", "wrong", "error", "timeout", "refused"]

HARNESS = Path(__file__).with_name("harness.py")
"""Runs inside of the wall, by a Python interpreter without site-packages."""
STARTING = 5.0
"""Seconds that a wall itself may take to start on a busy machine, beyond a program's own."""
ENDED_BY_TIME = (signal.SIGALRM, signal.SIGXCPU)
"""Signals by which the harness is ended when a time limit of its own is over."""
MOST_OUTPUT = 65536
"""Bytes that are read from the harness; one that says more is ended."""


@dataclass(frozen=True)
class Program:
    """A program and the tests that decide about it."""

    source: str
    tests: str
    """Statements that run after the source in the same namespace: an AssertionError is a wrong program."""


@dataclass(frozen=True)
class Limits:
    """What one program may use."""

    seconds: float = 5.0
    """Processor time. It may last three times as long by the clock, for a machine that does other things too."""
    memory: int = 1 << 30
    """Address space, in bytes."""
    file_size: int = 1 << 20
    """Bytes of one file that it writes, where it may write at all."""
    open_files: int = 32

    @property
    def most_seconds(self) -> float:
        """By the clock."""
        return 3 * self.seconds


@dataclass(frozen=True)
class Outcome:
    """What came of one program."""

    status: Status
    """`right`: all tests passed. `wrong`: an assertion failed. `error`: an exception, or it ended before its tests did.
    `timeout`. `refused`: it did something that the wall denies."""
    detail: str = ""
    """One line: the exception, or what was denied."""


@runtime_checkable
class Wall(Protocol):
    """Runs one program at a time, from any thread."""

    name: str

    def missing(self) -> str:
        """Why this wall cannot be used on this machine, with what to install; empty where it can."""

    def run(self, program: Program, limits: Limits) -> Outcome:
        """Run one program to its end, or to its limits."""


def interpreter() -> str:
    """The Python that programs run in: this one, but without the virtual environment around it."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


def readable_folders() -> list[str]:
    """What the interpreter needs to start: its own installation and the system's libraries."""
    system = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
    return [str(Path(sys.base_prefix).resolve()), *(folder for folder in system if Path(folder).exists())]


def request_of(program: Program, limits: Limits) -> tuple[bytes, str]:
    """What the harness reads on its standard input, and the word without which no answer of it counts."""
    word = secrets.token_hex(16)
    fields = {
        "word": word,
        "source": program.source,
        "tests": program.tests,
        "seconds": limits.seconds,
        "most_seconds": limits.most_seconds,
        "memory": limits.memory,
        "file_size": limits.file_size,
        "open_files": limits.open_files,
    }
    return json.dumps(fields).encode(), word


def outcome_of(output: bytes, word: str, *, timed_out: bool) -> Outcome:
    """What the harness answered. Whatever is not its answer counts as an error, never as right."""
    for line in output.decode("utf-8", "replace").splitlines():
        if not line.startswith(word):
            continue
        status, _, detail = line[len(word) + 1 :].partition(" ")
        if status in ("right", "wrong", "error", "timeout", "refused"):
            return Outcome(status, detail)  # type: ignore[arg-type]
    if timed_out:
        return Outcome("timeout", "over the time limit")
    return Outcome("error", "ended before its tests did")


def ask_harness(stdin: IO[bytes], stdout: IO[bytes], request: bytes, limits: Limits) -> tuple[bytes, bool]:
    """What the harness writes after it was given the request, and whether time ran out before its end."""
    with suppress(BrokenPipeError):
        stdin.write(request)
        stdin.close()
    return read_until(stdout, limits.most_seconds + STARTING)


def read_until(stream: IO[bytes], seconds: float, most: int = MOST_OUTPUT) -> tuple[bytes, bool]:
    """What is written to `stream` until it is closed, and whether time ran out before that.

    Reading also ends, without time having run out, when more than `most` bytes have come.
    """
    end, parts, size = time.monotonic() + seconds, list[bytes](), 0
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while (left := end - time.monotonic()) > 0:
            if not selector.select(left):
                break
            part = stream.read1(8192) if hasattr(stream, "read1") else stream.read(8192)
            if not part:
                return b"".join(parts), False
            parts.append(part)
            size += len(part)
            if size > most:
                return b"".join(parts), False
    return b"".join(parts), True
