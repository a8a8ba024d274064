"""Every error that overmem raises on purpose: the request, not the program, is at fault."""

import re
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

LONGEST_MESSAGE = 1500
"""Characters of an error message; what was given may be of any length."""
HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u115f\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0e\ufeff\ufff9-\ufffb]"
    "|[\U000e0000-\U000e01ff\ud800-\udfff]"
)
"""Characters that cannot be seen, that reorder the line or that a terminal obeys: the same as in the explorer's
`text.js`, and lone surrogates, which cannot be printed."""


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


def visible_text(text: str) -> str:
    r"""The text with hidden characters, and those that a terminal obeys, by their code points.

    >>> visible_text("\x1b[31ma\u202eb")
    'U+001B[31maU+202Eb'
    """
    return HIDDEN.sub(lambda match: f"U+{ord(match[0]):04X}", text)


def one_line(text: object) -> str:
    """The text in one line that is safe to print, its middle left out where it is longer than LONGEST_MESSAGE."""
    line, half = visible_text(" ".join(str(text).split())), LONGEST_MESSAGE // 2
    return line if len(line) <= LONGEST_MESSAGE else f"{line[:half]} ... {line[-half:]}"


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
    message = one_line(error)
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
