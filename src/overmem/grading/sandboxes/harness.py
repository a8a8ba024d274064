"""Runs one program and its tests inside a sandbox: a script for `python -I -S` that does not import overmem."""

import json
import os
import resource
import signal
import sys
from typing import Any


def main() -> None:
    """Read a request from standard input, run it, and write one line to the original standard output."""
    request = json.loads(sys.stdin.buffer.read())
    word = request.pop("word")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    seconds = max(1, round(request["seconds"]))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    signal.setitimer(signal.ITIMER_REAL, request["most_seconds"])  # ends the process, whatever it is doing
    limits = {
        resource.RLIMIT_AS: request["memory"],
        resource.RLIMIT_FSIZE: request["file_size"],
        resource.RLIMIT_NOFILE: request["open_files"],
        resource.RLIMIT_CORE: 0,
    }
    for name, most in limits.items():
        resource.setrlimit(name, (most, most))
    if request["expressions"] is None:
        status, detail = verdict(request["source"], request["tests"])
    else:
        status, detail = values(request["source"], request["expressions"])
    line = detail if status == "values" else " ".join(str(detail).split())[:300]
    answers.write(word + " " + status + " " + line + "\n")
    answers.flush()
    os._exit(0)  # skips threads and exit handlers of the program


def verdict(source: str, tests: str) -> tuple[str, str]:
    """The status of the program and one line about it."""
    namespace: dict[str, object] = {"__name__": "__main__", "__builtins__": __builtins__}
    for text, name in ((source, "<program>"), (tests, "<tests>")):
        try:
            exec(compile(text, name, "exec"), namespace)
        except AssertionError as error:
            return ("wrong" if name == "<tests>" else "error"), "AssertionError: " + str(error)
        except MemoryError:
            return "error", "out of memory"
        except PermissionError as error:
            return "refused", str(error)
        except OSError as error:
            return "refused", type(error).__name__ + ": " + str(error)
        except BaseException as error:  # SystemExit too: a program that exits has not passed its tests
            return "error", type(error).__name__ + ": " + str(error)
    return "right", ""


def values(source: str, expressions: list[str]) -> tuple[str, str]:
    """The status and the value of every expression after the program: plain data as JSON, null for anything else."""
    namespace: dict[str, object] = {"__name__": "__main__", "__builtins__": __builtins__}
    try:
        exec(compile(source, "<program>", "exec"), namespace)
    except AssertionError as error:
        return "error", "AssertionError: " + str(error)
    except BaseException as error:
        return failure(error)
    found: list[Any] = []
    for expression in expressions:
        try:
            value = eval(compile(expression, "<tests>", "eval"), namespace)
        except AssertionError as error:
            return "wrong", "AssertionError: " + str(error)
        except BaseException as error:
            return failure(error)
        try:
            found.append(encoded(value))
        except BaseException:
            found.append(None)
    return "values", json.dumps(found)


def failure(error: BaseException) -> tuple[str, str]:
    """The status of a program that ended in an exception, and one line about it."""
    if isinstance(error, MemoryError):
        return "error", "out of memory"
    if isinstance(error, PermissionError):
        return "refused", str(error)
    return ("refused" if isinstance(error, OSError) else "error"), type(error).__name__ + ": " + str(error)


def encoded(value: Any) -> list[Any]:
    """Plain data as [kind, content], whatever classes the program made of it; TypeError for anything else."""
    if value is None:
        return ["atom", None]
    for kind, content in SCALARS.items():
        if isinstance(value, kind):
            return list(content(value))
    if isinstance(value, dict):
        return ["dict", [[encoded(k), encoded(v)] for k, v in dict.items(value)]]
    containers: tuple[Any, ...] = (list, tuple, set, frozenset)
    for kind in containers:
        if isinstance(value, kind):
            members: list[Any] = list(kind.__iter__(value))
            return [kind.__name__, [encoded(one) for one in members]]
    if isinstance(value, (type({}.keys()), type({}.items()))):
        return encoded(set(value))
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
