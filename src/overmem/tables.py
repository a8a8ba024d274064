"""Families: one literal table of methods each, and one way to look a method up by name.

A name that is not in the table may be "module:function", so that a method of one's own needs no change here.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from overmem.errors import BadRequest, unknown

Table: TypeAlias = Mapping[str, Callable[..., Any]]


def resolve(table: Table, name: str, kind: str) -> Callable[..., Any]:
    """The function that `name` stands for in `table`, or the one that "module:function" names.

    Raises:
        BadRequest: neither in the table nor importable; the message lists the table.
    """
    if name in table:
        return table[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise unknown(kind, name, [*table, "module:function"])
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BadRequest(f"{kind} {name!r} could not be imported: {error}") from error
    return found


def knobs(function: Callable[..., Any]) -> dict[str, Any]:
    """The keyword-only parameters of a method and their defaults: its knobs, in order."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def checked_knobs(function: Callable[..., Any], given: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """`given`, once every key is known to be a knob of `function`.

    Raises:
        BadRequest: a key that is not a knob; the message lists the knobs.
    """
    for key in given:
        if key not in knobs(function):
            raise unknown(f"{kind} knob", key, knobs(function) or ["(none)"])
    return dict(given)


def first_line(function: Callable[..., Any]) -> str:
    """The first line of a method's docstring: its row on the methods page and in `--help`."""
    return (inspect.getdoc(function) or "").partition("\n")[0]
