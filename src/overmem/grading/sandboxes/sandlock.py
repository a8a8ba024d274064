"""A sandbox of Landlock and seccomp, for machines without user namespaces (Linux 6.7 or newer)."""

from contextlib import suppress
from importlib.util import find_spec

from overmem.grading.sandboxes.program import (
    HARNESS,
    TIMEOUT_SIGNALS,
    Limits,
    Outcome,
    Program,
    ask_harness,
    interpreter,
    outcome_of,
    readable_folders,
    request_of,
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
        import sandlock

        request, nonce = request_of(program, limits)
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
        command = [interpreter(), "-I", "-S", str(HARNESS)]
        with box.popen(command, stdin=piped, stdout=piped, stderr=sandlock.StdioMode.NULL) as process:
            try:
                output, timed_out = ask_harness(process.stdin, process.stdout, request, limits)
            finally:
                with suppress(RuntimeError, ProcessLookupError, sandlock.SandlockError):
                    process.kill()
            exit_status = process.wait()
        return outcome_of(output, nonce, program.tests, timed_out=timed_out or exit_status.signal in TIMEOUT_SIGNALS)
