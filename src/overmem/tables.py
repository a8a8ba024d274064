"""Tables of methods, and how a method is looked up by name.

Losses, merge rules, shifts, probes, ... each have one literal table. A name that is not in it may be "module:function".
"""

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from overmem.errors import BadRequest, unknown

Table: TypeAlias = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class NamedIn:
    """Metadata of an option that names a method: where the names are, for `--help` and the shell completion."""

    table: str
    """"package:TABLE", the literal table of a family."""
    own: str = "module:function"
    """The form of a name that is not in the table."""
    others: tuple[str, ...] = ()
    """Further names that the option allows."""
    always: bool = False
    """Whether the methods of the table are used anyway, so that the option adds methods of your own to them."""

    def names(self) -> tuple[str, ...]:
        """The names of the table, in its order.

        Read from the source, because importing a table imports its methods, and those import torch.
        """
        module, _, name = self.table.partition(":")
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise LookupError(f"no module {module}")
        for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
            if (
                isinstance(node, ast.AnnAssign)
                and ast.unparse(node.target) == name
                and isinstance(node.value, ast.Dict)
            ):
                return tuple(str(key.value) for key in node.value.keys if isinstance(key, ast.Constant))
        raise LookupError(f"no literal table {name} in {module}")

    def choices(self) -> tuple[str, ...]:
        """Every name that the option takes, without those of your own."""
        return self.others if self.always else (*self.others, *self.names())

    def hint(self) -> str:
        """What `--help` adds to the option.

        >>> NamedIn("overmem.observe.engines:ENGINES", own="module:Class").hint()
        'hf, vllm, or module:Class'
        """
        names = ", ".join([*self.others, *self.names()])
        return f"always: {names}; further ones: {self.own}" if self.always else f"{names}, or {self.own}"


def resolve(table: Table, name: str, kind: str) -> Callable[..., Any]:
    """The function named `name` in `table`, or the imported one where it is "module:function".

    Args:
        table: name -> function.
        name: what to look up.
        kind: what the table holds, for messages.

    Raises:
        BadRequest: neither in the table nor importable; the message lists the table.
    """
    if name in table:
        return table[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise unknown(kind, name, [*table, "module:function"])
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:  # a ValueError for an empty name
        raise BadRequest(f"{kind} {name!r} could not be imported: {error}") from error
    return function


def knobs(function: Callable[..., Any]) -> dict[str, Any]:
    """A method's knobs: its keyword-only parameters and their defaults, in order."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def checked_knobs(function: Callable[..., Any], values: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """`values` as a dict, checked to name only knobs of `function`.

    Raises:
        BadRequest: a key that is not a knob; the message lists the knobs.
    """
    for key in values:
        if key not in knobs(function):
            raise unknown(f"{kind} knob", key, knobs(function) or ["(none)"])
    return dict(values)


def first_line(function: Callable[..., Any]) -> str:
    """The first line of a method's docstring: its row on the methods page and in `--help`."""
    return (inspect.getdoc(function) or "").partition("\n")[0]
