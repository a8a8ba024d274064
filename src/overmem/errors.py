"""Every error that overmem raises on purpose: the request, not the program, is at fault."""

from collections.abc import Iterator
from contextlib import contextmanager

EXTRAS = {
    "accelerate": "audit",
    "datasets": "audit",
    "datasketch": "audit",
    "math_verify": "audit",
    "mlflow": "mlflow",
    "peft": "audit",
    "ray": "ray",
    "reasoning_gym": "reasoning-gym",
    "safetensors": "audit",
    "tensorboard": "tensorboard",
    "tokenizers": "audit",
    "torch": "audit",
    "trackio": "trackio",
    "transformers": "audit",
    "vllm": "vllm",
    "wandb": "wandb",
}
"""Library -> the extra of overmem that installs it."""


class OvermemError(Exception):
    """A request that cannot be met. The message says what was given, what is allowed, and where."""


class BadRequest(OvermemError):
    """A name, key, value or path that is not allowed. Raised before any model loads."""


class BadData(OvermemError):
    """A data file that cannot be read as examples; the message names file and row."""


class BadCheckpoint(OvermemError):
    """A checkpoint that cannot be loaded. An audit notes the reason in place of its measurements and continues."""


class Locked(OvermemError):
    """Another process has locked the run directory."""


def unknown(kind: str, name: str, allowed: object, where: str = "") -> BadRequest:
    """The error for a name that is not in its table.

    Args:
        kind: what the name should name.
        name: what was given.
        allowed: an iterable of the allowed names.
        where: the file, key or table, for the message.
    """
    names = ", ".join(sorted(map(str, allowed)))  # type: ignore[call-overload]
    return BadRequest(f"unknown {kind} {name!r}{f' in {where}' if where else ''}; allowed: {names}")


def reason_of(error: Exception) -> str:
    """One line on why a checkpoint cannot be observed, from an error that observing it raised.

    Raises:
        Exception: `error` itself, where the checkpoint is not to blame: a request that cannot be met, a full disk.
    """
    if isinstance(error, BadCheckpoint):
        return str(error)
    if isinstance(error, (OvermemError, OSError, MemoryError)):
        raise error
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


@contextmanager
def naming_the_extra() -> Iterator[None]:
    """Turns a missing library into an error that names the extra to install.

    Raises:
        BadRequest: an import failed because a library of one of overmem's extras is not installed.
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
