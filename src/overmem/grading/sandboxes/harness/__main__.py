"""Runs a program, its tests, or their expressions: `python -I -S` runs this folder inside a sandbox."""

import importlib
import json
import os
import resource
import signal
from contextlib import suppress
from typing import Any

from peer import Peer  # type: ignore[import-not-found]
from plain_data import encode  # type: ignore[import-not-found]


def main() -> None:
    """Read a request from standard input, run it, and reply on the original standard output."""
    requests = os.fdopen(os.dup(0), "rb")
    request = json.loads(requests.readline())
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    _set_limits(request)
    if request["role"] == "program":
        Peer(requests, replies, {"__name__": "__main__", "__builtins__": __builtins__}).serve()
        os._exit(0)
    if request["role"] == "tests":
        status, detail = run_tests(request, Peer(requests, replies, None))
    else:
        status, detail = evaluate(request["source"], request["expressions"])
    line = detail if status == "values" else " ".join(str(detail).split())[:300]
    replies.write(request["nonce"] + " " + status + " " + line + "\n")
    replies.flush()
    os._exit(0)  # skips threads and exit handlers of the program


def _set_limits(request: dict[str, Any]) -> None:
    seconds = max(1, round(request["seconds"]))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    signal.setitimer(signal.ITIMER_REAL, request["max_seconds"])  # kills the process, whatever it is doing
    limits = {
        resource.RLIMIT_AS: request["memory"],
        resource.RLIMIT_FSIZE: request["file_size"],
        resource.RLIMIT_NOFILE: request["open_files"],
        resource.RLIMIT_CORE: 0,
    }
    for name, maximum in limits.items():
        resource.setrlimit(name, (maximum, maximum))


def run_tests(request: dict[str, Any], program: Any) -> tuple[str, str]:
    """Run tests whose program is in another process; returns the status and one line about it."""
    namespace: dict[str, object] = {"__name__": "__main__", "__builtins__": __builtins__}
    try:
        program.ask("load", request["source"])
        for name in request["names"]:
            with suppress(NameError):  # the tests then raise it themselves
                namespace[name] = program.ask("name", name)
        for name in request["modules"]:
            namespace[name] = importlib.import_module(name)
    except AssertionError as error:
        return "error", "AssertionError: " + str(error)
    except BaseException as error:
        return exception_status(error)
    try:
        exec(compile(request["tests"], "<tests>", "exec"), namespace)
    except AssertionError as error:
        return "wrong", "AssertionError: " + str(error)
    except BaseException as error:  # SystemExit too: a program that exits has not passed its tests
        return exception_status(error)
    return "right", ""


def evaluate(source: str, expressions: list[str]) -> tuple[str, str]:
    """Run the program and evaluate the expressions; returns the status, and the values as JSON or null."""
    namespace: dict[str, object] = {"__name__": "__main__", "__builtins__": __builtins__}
    try:
        exec(compile(source, "<program>", "exec"), namespace)
    except AssertionError as error:
        return "error", "AssertionError: " + str(error)
    except BaseException as error:
        return exception_status(error)
    results: list[Any] = []
    for expression in expressions:
        try:
            value = eval(compile(expression, "<tests>", "eval"), namespace)
        except AssertionError as error:
            return "wrong", "AssertionError: " + str(error)
        except BaseException as error:
            return exception_status(error)
        try:
            results.append(encode(value))
        except BaseException:
            results.append(None)
    return "values", json.dumps(results)


def exception_status(error: BaseException) -> tuple[str, str]:
    """The status for an exception that ended a program, and one line about it."""
    if isinstance(error, MemoryError):
        return "error", "out of memory"
    if isinstance(error, PermissionError):
        return "refused", str(error)
    return ("refused" if isinstance(error, OSError) else "error"), type(error).__name__ + ": " + str(error)


main()
