"""Plain data as JSON and back; nothing in it is evaluated."""

from collections.abc import Callable
from typing import Any


def _refuse(value: object) -> list[Any]:
    raise TypeError(type(value).__name__)


def encode(value: Any, other: Callable[[Any], list[Any]] = _refuse) -> list[Any]:
    """Plain data as [kind, content], also from subclasses that the program defines.

    `other` encodes any other object; by default it raises a TypeError.
    """
    if value is None:
        return ["atom", None]
    for kind, content in SCALARS.items():
        if isinstance(value, kind):
            return list(content(value))
    if isinstance(value, dict):
        return ["dict", [[encode(k, other), encode(v, other)] for k, v in dict.items(value)]]
    containers: tuple[Any, ...] = (list, tuple, set, frozenset)
    for kind in containers:
        if isinstance(value, kind):
            members: list[Any] = list(kind.__iter__(value))
            return [kind.__name__, [encode(member, other) for member in members]]
    if isinstance(value, (type({}.keys()), type({}.items()))):
        return encode(set(value), other)
    return other(value)


def decode(value: Any, other: Callable[[Any, Any], Any] | None = None) -> Any:
    """The data in its encoded form; nothing in it is evaluated. `other` decodes kinds that are not plain data."""
    kind, content = value
    if kind == "atom":
        if not (content is None or isinstance(content, (bool, str))):
            raise ValueError(kind)
        return content
    if kind == "int":
        return int(content, 16)
    if kind == "dict":
        return {decode(k, other): decode(v, other) for k, v in content}
    containers: dict[str, Any] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
    if kind in containers:
        return containers[kind]([decode(member, other) for member in content])
    if kind in ("float", "complex"):
        return float(content) if kind == "float" else complex(content)
    if kind == "bytes":
        return bytes.fromhex(content)
    if other is None:
        raise ValueError(kind)
    return other(kind, content)


SCALARS: dict[Any, Any] = {
    bool: lambda value: ["atom", bool(value)],
    int: lambda value: ["int", hex(int.__int__(value))],
    str: lambda value: ["atom", str.__str__(value)],
    float: lambda value: ["float", float.__repr__(value)],
    complex: lambda value: ["complex", complex.__repr__(value)],
    bytes: lambda value: ["bytes", bytes.hex(value)],
    bytearray: lambda value: ["bytes", bytearray.hex(value)],
}
