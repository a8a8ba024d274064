"""The names that an option accepts, from the tables of methods; listed by `--help` and completed by the shell."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, field, fields, is_dataclass, make_dataclass
from itertools import pairwise
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from overmem.tables import NamedIn


def named_options(kind: Any, prefix: str = "") -> Iterator[tuple[str, NamedIn | None]]:
    """Every option of a verb (without its dashes), and the table of its names if it names a method."""
    annotations = get_type_hints(kind, include_extras=True)
    for option in fields(kind):
        typed_name, annotation = prefix + option.name.replace("_", "-"), annotations[option.name]
        if is_dataclass(annotation):
            yield from named_options(annotation, f"{typed_name}.")
        else:
            yield typed_name, named_in(annotation)


def named_in(annotation: Any) -> NamedIn | None:
    """The table of an option's names, from its annotation; None if it has none."""
    return next((part for part in getattr(annotation, "__metadata__", ()) if isinstance(part, NamedIn)), None)


def descriptions(kind: Any) -> dict[str, str]:
    """Field -> its docstring in one paragraph; tyro itself would keep the line breaks of the source."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        try:
            (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        except (OSError, TypeError, ValueError):  # built in, or made at run time: there is no source
            continue
        assert isinstance(definition, ast.ClassDef)
        for statement, following in pairwise(definition.body):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                value = following.value if isinstance(following, ast.Expr) else None
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    texts[statement.target.id] = " ".join(value.value.split())
    return texts


def with_hints(kind: Any) -> Any:
    """The options with their descriptions, the allowed names after each, and no defaults of nothing; for `--help`."""
    import tyro

    new_fields: list[tuple[str, Any, Any]] = []
    annotations, texts = get_type_hints(kind, include_extras=True), descriptions(kind)
    for original in fields(kind):
        annotation, default = annotations[original.name], original.default
        if is_dataclass(annotation):
            nested = with_hints(annotation)
            new_fields.append((original.name, nested, field(default_factory=nested)))
            continue
        source = named_in(annotation)
        made = default if original.default_factory is MISSING else original.default_factory()
        is_nothing = made is None or (isinstance(made, str | tuple | dict) and not made)
        about = tyro.conf.arg(
            help=texts.get(original.name),
            metavar=_metavar(annotation),
            help_behavior_hint=_hint(source, default) if source else "" if is_nothing else None,
        )
        kept = field(default=default, default_factory=original.default_factory)
        new_fields.append((original.name, Annotated[annotation, about], kept))
    return make_dataclass(kind.__name__, new_fields, bases=(kind,), frozen=True)


def _metavar(annotation: Any) -> str | None:
    """The kind of value that an option takes, if it may also be left out; None for tyro's own word."""
    plain = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    kinds = [k for k in get_args(plain) if k is not type(None)]
    if get_origin(plain) not in (Union, UnionType) or len(kinds) != 1 or len(get_args(plain)) != 2:
        return None
    (kind,) = kinds
    return f"{{{','.join(map(str, get_args(kind)))}}}" if get_origin(kind) is Literal else str(kind.__name__).upper()


def convert(kind: Any, values: Any) -> Any:
    """Convert `values` to the class that `with_hints` returned."""
    parts = {f.name: getattr(values, f.name) for f in fields(values)}
    types = get_type_hints(kind)
    return kind(**{n: convert(types[n], v) if is_dataclass(v) else v for n, v in parts.items()})


def _hint(source: NamedIn, default: Any) -> str:
    return f"({source.hint()}{f'; default: {default}' if default else ''})"
