"""Runs one program and its tests inside a sandbox: a script for `python -I -S` that does not import overmem."""

import json
import os
import resource
import signal
import sys
from typing import Any


def main() -> None:
    """Read a request from standard input, run it, and write one line of reply to the original standard output."""
    request = json.loads(sys.stdin.buffer.read())
    nonce = request.pop("nonce")
    reply = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
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
    if request["expressions"] is None:
        status, detail = run_tests(request["source"], request["tests"])
    else:
        status, detail = evaluate(request["source"], request["expressions"])
    line = detail if status == "values" else " ".join(str(detail).split())[:300]
    reply.write(nonce + " " + status + " " + line + "\n")
    reply.flush()
    os._exit(0)  # skips threads and exit handlers of the program


def run_tests(source: str, tests: str) -> tuple[str, str]:
    """Run the program and its tests; returns the status and one line about it."""
    namespace: dict[str, object] = {"__name__": "__main__", "__builtins__": __builtins__}
    for text, name in ((source, "<program>"), (tests, "<tests>")):
        try:
            exec(compile(text, name, "exec"), namespace)
        except AssertionError as error:
            return ("wrong" if name == "<tests>" else "error"), "AssertionError: " + str(error)
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


def encode(value: Any) -> list[Any]:
    """Plain data as [kind, content], also from subclasses that the program defines; TypeError for other objects."""
    if value is None:
        return ["atom", None]
    for kind, content in SCALARS.items():
        if isinstance(value, kind):
            return list(content(value))
    if isinstance(value, dict):
        return ["dict", [[encode(k), encode(v)] for k, v in dict.items(value)]]
    containers: tuple[Any, ...] = (list, tuple, set, frozenset)
    for kind in containers:
        if isinstance(value, kind):
            members: list[Any] = list(kind.__iter__(value))
            return [kind.__name__, [encode(member) for member in members]]
    if isinstance(value, (type({}.keys()), type({}.items()))):
        return encode(set(value))
    raise TypeError


SCALARS: dict[Any, Any] = {
    bool: lambda value: ["atom", bool(value)],
    int: lambda value: ["atom", int.__int__(value)],
    str: lambda value: ["atom", str.__str__(value)],
    float: lambda value: ["float", float.__repr__(value)],
    complex: lambda value: ["complex", complex.__repr__(value)],
    bytes: lambda value: ["bytes", bytes.hex(value)],
    bytearray: lambda value: ["bytes", bytearray.hex(value)],
}


main()
