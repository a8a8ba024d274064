"""Every error that overmem raises on purpose: the request, not the program, is at fault."""

from collections.abc import Iterator
from contextlib import contextmanager

EXTRAS = {
    "accelerate": "audit",
    "datasets": "audit",
    "datasketch": "audit",
    "math_verify": "audit",
    "peft": "audit",
    "ray": "ray",
    "reasoning_gym": "reasoning-gym",
    "safetensors": "audit",
    "tensorboard": "tensorboard",
    "tokenizers": "audit",
    "torch": "audit",
    "transformers": "audit",
    "vllm": "vllm",
}
"""Which extra of overmem installs a library that is not there."""


class OvermemError(Exception):
    """A request that cannot be met. The message says what was given, what is allowed, and where."""


class BadRequest(OvermemError):
    """A name, key, value or path that is not allowed; raised before any model loads."""


class BadData(OvermemError):
    """A data file that cannot be read as examples; the message names file and row."""


class BadCheckpoint(OvermemError):
    """A checkpoint that cannot be loaded. An audit notes it as a measurement without a value and goes on."""


class Locked(OvermemError):
    """Another process holds the run directory."""


def unknown(kind: str, given: str, allowed: object, where: str = "") -> BadRequest:
    """The error for a name that is not in its table: what was given, what is allowed, where."""
    names = ", ".join(sorted(map(str, allowed)))  # type: ignore[call-overload]
    return BadRequest(f"unknown {kind} {given!r}{f' in {where}' if where else ''}; allowed: {names}")


def reason_of(error: Exception) -> str:
    """One line on why one checkpoint cannot be observed, for an error of that checkpoint.

    Raises:
        Exception: `error` itself, where it is not the checkpoint's: a request that cannot be met, a full disk.
    """
    if isinstance(error, BadCheckpoint):
        return str(error)
    if isinstance(error, (OvermemError, OSError, MemoryError)):
        raise error
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


@contextmanager
def naming_the_extra() -> Iterator[None]:
    """Turns a library that is not installed into an error that names the extra to install.

    Raises:
        BadRequest: a library of one of overmem's extras was imported and is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRAS:
            raise
        raise BadRequest(
            f"this needs {library}, which is not installed; run: pip install 'overmem[{EXTRAS[library]}]'"
        ) from error
