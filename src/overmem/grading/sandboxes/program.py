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
MAX_OUTPUT = 1 << 20
"""Bytes that are read from the harness; if it writes more, it is killed."""


@dataclass(frozen=True)
class Program:
    """A program and its tests."""

    source: str
    tests: str
    """Statements that run after the source in the same namespace; an AssertionError means that the program is wrong."""


@dataclass(frozen=True)
class Limits:
    """The resources that one program may use."""

    seconds: float = 5.0
    """CPU time. The wall-clock limit is three times as long, for busy machines."""
    memory: int = 1 << 30
    """Address space, in bytes."""
    file_size: int = 1 << 20
    """Maximum bytes per file, if the sandbox allows writing."""
    open_files: int = 32

    @property
    def max_seconds(self) -> float:
        """Limit of wall-clock time, in seconds."""
        return 3 * self.seconds


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


def request_of(program: Program, limits: Limits) -> tuple[bytes, str]:
    """The harness's standard input, and a random nonce that must precede its reply.

    The nonce keeps a program from writing the reply itself.
    """
    nonce, assertions = secrets.token_hex(16), comparisons(program.tests)
    fields = {
        "nonce": nonce,
        "source": program.source,
        "tests": program.tests if assertions is None else "",  # expected values are not sent
        "expressions": None if assertions is None else [assertion.expression for assertion in assertions],
        "seconds": limits.seconds,
        "max_seconds": limits.max_seconds,
        "memory": limits.memory,
        "file_size": limits.file_size,
        "open_files": limits.open_files,
    }
    return json.dumps(fields).encode(), nonce


def outcome_of(output: bytes, nonce: str, tests: str = "", *, timed_out: bool) -> Outcome:
    """The outcome in the harness's reply; any other output counts as an error.

    Args:
        output: output of the harness.
        nonce: the nonce that must precede the reply.
        tests: the program's tests.
        timed_out: whether the harness was ended at a time limit.
    """
    assertions = comparisons(tests)
    for line in output.decode("utf-8", "replace").splitlines():
        if not line.startswith(nonce):
            continue
        status, _, detail = line[len(nonce) + 1 :].partition(" ")
        if assertions is not None and status in ("right", "values"):
            return (
                _compare(assertions, detail)
                if status == "values"
                else Outcome("error", "it tried to report the result of its own tests")
            )
        if status in ("right", "wrong", "error", "timeout", "refused"):
            return Outcome(status, detail)  # type: ignore[arg-type]
    if timed_out:
        return Outcome("timeout", "over the time limit")
    return Outcome("error", "ended before its tests did")


def _compare(assertions: Sequence[Comparison], detail: str) -> Outcome:
    """The outcome from the values that the program's process computed; they are compared here, outside of it."""
    try:
        values = json.loads(detail)
        failed = first_failure(assertions, values) if len(values) == len(assertions) else assertions[0].expression
    except (ValueError, TypeError, RecursionError):
        return Outcome("error", "ended before its tests did")
    return Outcome("right") if failed is None else Outcome("wrong", f"AssertionError: {failed}"[:300])


def ask_harness(stdin: IO[bytes], stdout: IO[bytes], request: bytes, limits: Limits) -> tuple[bytes, bool]:
    """Send a request to the harness and return its output, and whether it timed out."""
    with suppress(BrokenPipeError):
        stdin.write(request)
        stdin.close()
    return read_until(stdout, limits.max_seconds + STARTUP_SECONDS)


def read_until(stream: IO[bytes], seconds: float, max_bytes: int = MAX_OUTPUT) -> tuple[bytes, bool]:
    """Read `stream` until it is closed, for at most `seconds`; returns the output and whether it timed out.

    Reading also ends after more than `max_bytes` bytes, which is not a timeout.
    """
    end, parts, size = time.monotonic() + seconds, list[bytes](), 0
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while (remaining := end - time.monotonic()) > 0:
            if not selector.select(remaining):
                break
            part = stream.read1(8192) if hasattr(stream, "read1") else stream.read(8192)
            if not part:
                return b"".join(parts), False
            parts.append(part)
            size += len(part)
            if size > max_bytes:
                return b"".join(parts), False
    return b"".join(parts), True
