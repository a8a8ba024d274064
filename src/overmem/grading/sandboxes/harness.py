"""Runs one program and its tests inside a sandbox: a script for `python -I -S` that does not import overmem."""

import json
import os
import resource
import signal
import sys


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
    status, detail = verdict(request["source"], request["tests"])
    line = " ".join(str(detail).split())[:300]
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


main()
