"""Programs, their limits and outcomes, and the protocol between a sandbox and the harness inside it."""

import json
import secrets
import selectors
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Protocol, runtime_checkable

from overmem.grading.sandboxes.comparison import Comparison, comparisons, first_failure

Status = Literal["right", "wrong", "error", "timeout", "refused"]

HARNESS = Path(__file__).with_name("harness.py")
"""The script that runs inside the sandbox, in a Python interpreter without site-packages."""
STARTUP_SECONDS = 5.0
"""Seconds that a sandbox may take to start on a busy machine, in addition to the program's limit."""
TIMEOUT_SIGNALS = (signal.SIGALRM, signal.SIGXCPU)
"""Signals that end the harness at its time limits."""
MOST_OUTPUT = 1 << 20
"""Bytes that are read from the harness; if it writes more, it is ended."""


@dataclass(frozen=True)
class Program:
    """A program and the tests that decide about it."""

    source: str
    tests: str
    """Statements that run after the source in the same namespace. An AssertionError means a wrong program."""


@dataclass(frozen=True)
class Limits:
    """The resources that one program may use."""

    seconds: float = 5.0
    """CPU time. The wall-clock limit is three times as long, for busy machines."""
    memory: int = 1 << 30
    """Address space, in bytes."""
    file_size: int = 1 << 20
    """Bytes per file, if it may write files at all."""
    open_files: int = 32

    @property
    def most_seconds(self) -> float:
        """Sandbox-clock limit in seconds."""
        return 3 * self.seconds


@dataclass(frozen=True)
class Outcome:
    """The outcome of one program."""

    status: Status
    """`right`: all tests passed. `wrong`: an assertion failed. `error`: an exception, or it ended before its tests.
    `timeout`. `refused`: it did something that the sandbox denies."""
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


def request_of(program: Program, limits: Limits) -> tuple[bytes, str]:
    """The harness's standard input, and a random word that must precede its answer.

    The word keeps a program from writing the answer itself.
    """
    word, asked = secrets.token_hex(16), comparisons(program.tests)
    fields = {
        "word": word,
        "source": program.source,
        "tests": program.tests if asked is None else "",  # what is expected is not sent
        "expressions": None if asked is None else [one.expression for one in asked],
        "seconds": limits.seconds,
        "most_seconds": limits.most_seconds,
        "memory": limits.memory,
        "file_size": limits.file_size,
        "open_files": limits.open_files,
    }
    return json.dumps(fields).encode(), word


def outcome_of(output: bytes, word: str, tests: str = "", *, timed_out: bool) -> Outcome:
    """The outcome that the harness wrote, or that its values come to. Any other output counts as an error.

    Args:
        output: of the harness.
        word: that must precede its answer.
        tests: of the program.
        timed_out: whether it was ended for its time.
    """
    asked = comparisons(tests)
    for line in output.decode("utf-8", "replace").splitlines():
        if not line.startswith(word):
            continue
        status, _, detail = line[len(word) + 1 :].partition(" ")
        if asked is not None and status in ("right", "values"):
            return _compared(asked, detail) if status == "values" else Outcome("error", "it answers for its tests")
        if status in ("right", "wrong", "error", "timeout", "refused"):
            return Outcome(status, detail)  # type: ignore[arg-type]
    if timed_out:
        return Outcome("timeout", "over the time limit")
    return Outcome("error", "ended before its tests did")


def _compared(asked: Sequence[Comparison], detail: str) -> Outcome:
    """The outcome of values that the program's process computed, compared here."""
    try:
        values = json.loads(detail)
        failed = first_failure(asked, values) if len(values) == len(asked) else asked[0].expression
    except (ValueError, TypeError, RecursionError):
        return Outcome("error", "ended before its tests did")
    return Outcome("right") if failed is None else Outcome("wrong", f"AssertionError: {failed}"[:300])


def ask_harness(stdin: IO[bytes], stdout: IO[bytes], request: bytes, limits: Limits) -> tuple[bytes, bool]:
    """Send a request to the harness; returns its output, and whether it timed out."""
    with suppress(BrokenPipeError):
        stdin.write(request)
        stdin.close()
    return read_until(stdout, limits.most_seconds + STARTUP_SECONDS)


def read_until(stream: IO[bytes], seconds: float, most: int = MOST_OUTPUT) -> tuple[bytes, bool]:
    """Read `stream` until it is closed, for at most `seconds`; returns the output and whether it timed out.

    Reading also ends after more than `most` bytes, which is not a timeout.
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
