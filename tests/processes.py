"""Python in a process of its own that starts in milliseconds: a fork of one that has torch and overmem loaded.

The process from which it is forked only imports, and does so once for all tests of a process of the suite.
"""

import contextlib
import os
import runpy
import sys
import tempfile
import traceback
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.reduction import DupFd
from pathlib import Path
from subprocess import DEVNULL, PIPE, CompletedProcess, TimeoutExpired

LOADED = (
    "torch", "transformers", "transformers.trainer", "transformers.models.llama.modeling_llama", "peft", "accelerate",
    "datasets", "scipy.stats", "datasketch", "jinja2", "rich", "tyro", "overmem.cli.train", "overmem.cli.audit",
    "overmem.cli.worker", "overmem.cli.diagnose", "overmem.cli.report", "overmem.audit", "overmem.training.verb",
    "overmem.report.page",
)  # fmt: skip
_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(list(LOADED))


def run_python(*arguments: object, cwd: Path | None = None, first_on_path: Sequence[object] = ()) -> CompletedProcess:
    """Run Python with `-c CODE ...` or `-m MODULE ...` in a process of its own, and wait for it to end.

    Args:
        arguments: of the interpreter.
        cwd: the working directory; that of this process by default.
        first_on_path: folders in which modules are looked for first; overmem is then imported anew.
    """
    words = [*map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        where = (str(cwd or Path.cwd()), [*map(str, first_on_path)])
        process = _FORKS.Process(target=_run, args=(words, *where, str(out), str(err)))
        process.start()
        process.join()
        texts = [path.read_text(encoding="utf-8") if path.is_file() else "" for path in (out, err)]
    return CompletedProcess(words, process.exitcode, *texts)


class ForkedPopen:
    """What `subprocess.Popen` does for a command of Python, by a fork: for tests that start many workers."""

    def __init__(self, command, *, stdin, stdout, stderr, env):
        assert stderr is stdout
        reading, writing = os.pipe()
        self.stdin = os.fdopen(writing, "wb", buffering=0) if stdin == PIPE else os.close(writing)
        log = os.devnull if stdout == DEVNULL else stdout.name
        self._process = _FORKS.Process(target=_run_worker, args=([*command[1:]], _Fd(reading), log, env))
        self._process.start()
        os.close(reading)

    def poll(self):
        return self._process.exitcode

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self.poll() is None:
            raise TimeoutExpired("worker", timeout)
        return self.poll()

    def kill(self):
        self._process.kill()

    def terminate(self):
        self._process.terminate()


class _Fd:
    """A file descriptor that is handed to the forked process."""

    def __init__(self, fd: int):
        self.fd = fd

    def __reduce__(self):
        return _Fd._received, (DupFd(self.fd),)

    @staticmethod
    def _received(sent):
        return _Fd(sent.detach())


def _run_worker(arguments: list[str], stdin: _Fd, log: str, env: dict[str, str]) -> None:
    os.dup2(stdin.fd, 0)
    sys.stdin = os.fdopen(0, closefd=False)
    os.environ.clear()
    os.environ.update(env)
    _run(arguments, str(Path.cwd()), [], log, log)


def _run(arguments: list[str], cwd: str, first_on_path: list[str], out: str, err: str) -> None:
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.chdir(cwd)
    if first_on_path:
        os.environ["PYTHONPATH"] = os.pathsep.join(first_on_path)
        sys.path[:0] = first_on_path
        for name in [name for name in sys.modules if name.partition(".")[0] in ("overmem", "docs")]:
            del sys.modules[name]
    code = 0
    try:
        kind, what, *sys.argv[1:] = arguments
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
