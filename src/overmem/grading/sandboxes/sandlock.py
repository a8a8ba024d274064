"""A sandbox of Landlock and seccomp, for machines without user namespaces (Linux 6.7 or newer)."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec

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

DENIED = ("socketpair", "memfd_create", "shmget", "msgget", "semget", "mq_open")
"""System calls denied in addition to sandlock's defaults, which deny processes and connections."""


class Sandlock:
    """Programs run by the `sandlock` package: they cannot write files, and can only read Python's own."""

    name = "sandlock"

    def missing(self) -> str:
        """Why this sandbox cannot be used here; empty if it can."""
        if find_spec("sandlock") is None:
            return "pip install sandlock"
        import sandlock

        try:
            version, required = sandlock.landlock_abi_version(), sandlock.min_landlock_abi()
        except (OSError, RuntimeError, sandlock.SandlockError) as error:
            return f"the version of Landlock cannot be read: {error}"
        return "" if version >= required else f"this kernel has Landlock version {version}, sandlock needs {required}"

    def run(self, program: Program, limits: Limits) -> Outcome:
        """Run one program."""
        return run(lambda: self.start(limits), program, limits)

    @contextmanager
    def start(self, limits: Limits) -> Iterator[Process]:
        """The harness under Landlock and seccomp, ended with the context."""
        import sandlock

        box = sandlock.Sandbox(
            fs_readable=[*readable_folders(), str(HARNESS), "/dev/urandom"],
            fs_writable=["/dev/null"],
            extra_deny_syscalls=DENIED,
            max_processes=1,
            max_open_files=limits.open_files,
            no_coredump=True,
            clean_env=True,
            cwd="/",
        )
        piped = sandlock.StdioMode.PIPED
        command = [interpreter(), "-I", "-S", "-B", str(HARNESS)]
        with box.popen(command, stdin=piped, stdout=piped, stderr=sandlock.StdioMode.NULL) as process:

            def kill() -> None:
                with suppress(RuntimeError, ProcessLookupError, sandlock.SandlockError):
                    process.kill()

            def hit_limit() -> bool:
                kill()
                return process.wait().signal in TIMEOUT_SIGNALS

            try:
                yield Process(process.stdin, process.stdout, hit_limit)
            finally:
                kill()
                with suppress(RuntimeError, ProcessLookupError, sandlock.SandlockError):
                    process.wait()
