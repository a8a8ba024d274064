"""Run one program and its tests: in one sandboxed process, or the tests in a second one.

Tests that only compare results with literals need one process: it computes the values, and they are compared here.
Other tests run in a sandbox of their own and call the program's functions through this process, which passes lines from
one to the other. The outcome is only read from a process that runs no model-written code.
"""

import json
import os
import secrets
import selectors
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import IO, Any, get_args

from overmem.grading.sandboxes.comparison import Comparison, comparisons, first_failure, names_in_program
from overmem.grading.sandboxes.program import Limits, Outcome, Program, Status

STARTUP_SECONDS = 5.0
"""Seconds that a sandbox may take to start on a busy machine, in addition to the program's limit."""
MAX_OUTPUT = 1 << 20
"""Bytes that are read from a process; if it writes more, it is killed."""
_ENDED = Outcome("error", "ended before its tests did")
_TIMEOUT = Outcome("timeout", "over the time limit")


@dataclass(frozen=True)
class Process:
    """A process that runs the harness in a sandbox."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    hit_limit: Callable[[], bool]
    """Wait for its end; whether one of its time limits ended it."""


def run(start: Callable[[], AbstractContextManager[Process]], program: Program, limits: Limits) -> Outcome:
    """The outcome of one program.

    Args:
        start: starts the harness in a sandbox, and ends it afterwards.
        program: the program and its tests.
        limits: limits of each process.
    """
    deadline = time.monotonic() + limits.max_seconds + STARTUP_SECONDS
    assertions = comparisons(program.tests)
    try:
        if assertions is not None:
            with start() as process:
                return _compared(_Lines(process, deadline), program, assertions, limits)
        with start() as tests, start() as candidate:
            return _tested(_Lines(tests, deadline), _Lines(candidate, deadline), program, limits)
    except TimeoutError:
        return _TIMEOUT


def _compared(process: "_Lines", program: Program, assertions: Sequence[Comparison], limits: Limits) -> Outcome:
    """The outcome from the values of the tests' expressions, which are compared here."""
    nonce = secrets.token_hex(16)
    expressions = [assertion.expression for assertion in assertions]
    process.request(limits, role="values", nonce=nonce, source=program.source, expressions=expressions)
    while (line := process.read()) is not None:
        if (reply := reply_in(line, nonce)) is None:
            continue
        if reply.status == "right":
            return Outcome("error", "it tried to report the result of its own tests")
        return (
            values_outcome(assertions, reply.detail)
            if reply.status == "values"
            else Outcome(reply.status, reply.detail)
        )
    return process.end()


def _tested(tests: "_Lines", candidate: "_Lines", program: Program, limits: Limits) -> Outcome:
    """The outcome from the tests' process; its calls are passed to the program's process."""
    nonce, (names, modules) = secrets.token_hex(16), names_in_program(program.tests)
    candidate.request(limits, role="program")
    tests.request(
        limits, role="tests", nonce=nonce, source=program.source, tests=program.tests, names=names, modules=modules
    )
    while (line := tests.read()) is not None:
        if (reply := reply_in(line, nonce)) is not None:
            return _ENDED if reply.status == "values" else Outcome(reply.status, reply.detail)
        candidate.write(line)
        if (answer := candidate.read()) is None:
            return candidate.end()
        tests.write(answer)
    return tests.end()


@dataclass(frozen=True)
class _Reply:
    status: Any
    detail: str


def reply_in(line: bytes, nonce: str) -> _Reply | None:
    """The harness's reply, which the nonce precedes; None for any other line."""
    text = line.decode("utf-8", "replace").rstrip("\n")
    if not text.startswith(f"{nonce} "):
        return None
    status, _, detail = text[len(nonce) + 1 :].partition(" ")
    return _Reply(status, detail) if status in (*get_args(Status), "values") else None


def values_outcome(assertions: Sequence[Comparison], detail: str) -> Outcome:
    """The outcome from the values of the expressions, as JSON."""
    try:
        values = json.loads(detail)
        if not isinstance(values, list) or len(values) != len(assertions):
            return _ENDED
        failed = first_failure(assertions, values)
    except (ValueError, TypeError, RecursionError):
        return _ENDED
    return Outcome("right") if failed is None else Outcome("wrong", f"AssertionError: {failed}"[:300])


class _Lines:
    """The lines that a process reads and writes, each until a deadline; TimeoutError after it."""

    def __init__(self, process: Process, deadline: float) -> None:
        self.process, self.deadline = process, deadline
        self.buffer, self.size = b"", 0
        os.set_blocking(process.stdin.fileno(), False)

    def request(self, limits: Limits, **fields: Any) -> None:
        """Send the first line, with the limits."""
        line = {**asdict(limits), "max_seconds": limits.max_seconds, **fields}
        self.write(json.dumps(line).encode() + b"\n")

    def write(self, line: bytes) -> None:
        """Write a line; nothing is written to a process that has ended."""
        descriptor = self.process.stdin.fileno()
        while line:
            self._wait(descriptor, selectors.EVENT_WRITE)
            try:
                line = line[os.write(descriptor, line) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                return

    def read(self) -> bytes | None:
        """The next line; None at the end, or after too many bytes."""
        descriptor = self.process.stdout.fileno()
        while b"\n" not in self.buffer:
            self._wait(descriptor, selectors.EVENT_READ)
            part = os.read(descriptor, 1 << 16)
            self.size += len(part)
            if not part or self.size > MAX_OUTPUT:
                return None
            self.buffer += part
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line + b"\n"

    def end(self) -> Outcome:
        """The outcome of a process that ended without a reply."""
        return _TIMEOUT if self.process.hit_limit() else _ENDED

    def _wait(self, descriptor: int, event: int) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, event)
            if not selector.select(max(self.deadline - time.monotonic(), 0.0)):
                raise TimeoutError
