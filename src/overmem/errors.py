"""Every error that overmem raises on purpose: the request, not the program, is at fault."""


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
