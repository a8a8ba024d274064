"""The command in a forked process of one that has loaded torch already, killed where one wants it.

A fork takes milliseconds and a fresh process seconds. The parent only imports: it must not use polars, tokenizers or
torch, whose threads a fork would lose.
"""

import contextlib
import importlib
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.mkdir": (0,),
    "os.truncate": (0,),
    "os.link": (0, 1),
}
"""Audit event -> which of its arguments are paths. `open` is one where it opens for writing."""
LOADED = (
    "torch", "transformers", "transformers.trainer", "transformers.models.llama.modeling_llama", "polars", "pydantic",
    "peft", "accelerate", "safetensors.torch", "scipy.stats", "tyro", "jinja2", "rich", "datasets", "datasketch",
    "overmem.cli.train", "overmem.cli.audit", "overmem.cli.worker", "overmem.cli.diagnose", "overmem.cli.report",
    "overmem.cli.merge", "overmem.cli.sweep", "overmem.audit", "overmem.training.verb", "overmem.merging.verb",
    "overmem.search.verb", "overmem.sweep.verb", "overmem.report.page", "overmem.diagnose",
    "tests.conftest", "tests.verdict.conftest",
)  # fmt: skip


def load() -> None:
    """Import what the commands import, so that forks have it."""
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1", POLARS_MAX_THREADS="1")
    os.environ.update(COLUMNS="160", HF_DATASETS_OFFLINE="1")
    for name in LOADED:
        importlib.import_module(name)


Interference = Callable[[int, str], None]
"""Called in the process before the k-th change of a file, from 1 on, with what changes it; may kill it or raise."""


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    """Exit code; of a killed one, minus the signal."""
    words: str
    """What it printed."""
    events: int
    """Changes of files in its folder: opened for writing, renamed, removed, folders made or removed."""
    seconds: float
    is_hanging: bool = False
    """It did not end, and was killed."""

    @property
    def has_traceback(self) -> bool:
        """Whether it showed a traceback."""
        return "Traceback (most recent call last)" in self.words or "Error in sys.excepthook" in self.words


def run_forked(
    work: Callable[[], object],
    folder: Path,
    *,
    interfere: Interference = lambda k, event: None,
    kills: Sequence[tuple[float, int]] = (),
    limit: float = 60.0,
    name: str = "",
) -> Ended:
    """Run `work` in a forked process, in a folder.

    Args:
        work: what to run; its SystemExit is the exit code.
        folder: the working directory, and where changes of files count.
        interfere: called before each change of a file in the folder.
        kills: signals to send from outside: seconds after the start and the signal.
        limit: seconds after which it is said to hang.
        name: distinguishes processes that run in the folder at the same time.
    """
    log = folder.with_name(f"{folder.name}{name}.log")
    counter, to_child = os.pipe()
    start = time.monotonic()
    log.touch()
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        os.close(counter)
        _be_child(work, folder, log, interfere, to_child)
    os.close(to_child)
    handle = os.pidfd_open(process)
    is_hanging = False
    for after, number in (*kills, (limit, signal.SIGKILL)):
        left = max(0.0, start + after - time.monotonic())
        if select.select([handle], [], [], left)[0]:
            break
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)
        is_hanging = after == limit
    _, status = os.waitpid(process, 0)
    seconds = time.monotonic() - start
    os.close(handle)
    with os.fdopen(counter, "rb") as pipe:
        events = len(pipe.read())
    words = log.read_text(encoding="utf-8", errors="replace")
    log.unlink()
    return Ended(os.waitstatus_to_exitcode(status), words, events, seconds, is_hanging)


def _be_child(work: Callable[[], object], folder: Path, log: Path, interfere: Interference, counter: int) -> None:
    """The forked process: never returns."""
    code = 1
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(output, number)
        with open(os.devnull) as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.chdir(folder)
        watch_files(folder, interfere, counter)
        code = _exit_code(work)
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _exit_code(work: Callable[[], object]) -> int:
    """The exit code as the interpreter decides it, with its traceback for an exception."""
    try:
        work()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def watch_files(folder: Path, interfere: Interference, counter: int) -> None:
    """From now on, `interfere` is called before each change of a file in the folder, and a byte goes to `counter`."""
    root, seen, own = str(folder.resolve()), 0, threading.local()

    def hook(event: str, arguments: tuple) -> None:
        nonlocal seen
        if event == "open":
            paths = arguments[:1] if isinstance(arguments[2], int) and arguments[2] & _WRITING else ()
        elif event in _CHANGES:
            paths = [arguments[i] for i in _CHANGES[event]]
        else:
            return
        if getattr(own, "is_inside", False) or not any(_is_inside(root, path) for path in paths):
            return
        own.is_inside = True
        try:
            seen += 1
            os.write(counter, b".")
            interfere(seen, event)
        finally:
            own.is_inside = False

    sys.addaudithook(hook)


def _is_inside(root: str, path: object) -> bool:
    if not isinstance(path, (str, bytes, os.PathLike)):
        return False  # an open file
    return str(Path(os.fsdecode(path)).absolute()).startswith(root)
