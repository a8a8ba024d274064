"""The names that an option takes: what `--help` lists and the shell completes, read from the methods' tables."""

from collections.abc import Iterator
from dataclasses import MISSING, field, fields, is_dataclass, make_dataclass
from typing import Annotated, Any, get_type_hints

from overmem.tables import NamedIn


def named_options(kind: Any, prefix: str = "") -> Iterator[tuple[str, NamedIn | None]]:
    """Every option of a verb as it is typed, without its dashes, and where its names are if it names a method."""
    annotations = get_type_hints(kind, include_extras=True)
    for option in fields(kind):
        typed, annotation = prefix + option.name.replace("_", "-"), annotations[option.name]
        if is_dataclass(annotation):
            yield from named_options(annotation, f"{typed}.")
        else:
            yield typed, named_in(annotation)


def named_in(annotation: Any) -> NamedIn | None:
    """Where the names of an option are, from its annotation."""
    return next((part for part in getattr(annotation, "__metadata__", ()) if isinstance(part, NamedIn)), None)


def with_hints(kind: Any) -> Any:
    """The options with their names written after each description: for `--help` alone."""
    import tyro

    changed = []
    annotations = get_type_hints(kind, include_extras=True)
    for old in fields(kind):
        annotation, default = annotations[old.name], old.default
        if is_dataclass(annotation):
            nested = with_hints(annotation)
            changed.append((old.name, nested, field(default_factory=nested)))
        elif (source := named_in(annotation)) and default is not MISSING:
            described = tyro.conf.arg(help_behavior_hint=_hint(source, default))
            changed.append((old.name, Annotated[annotation, described], field(default=default)))
    return make_dataclass(kind.__name__, changed, bases=(kind,), frozen=True) if changed else kind


def converted(kind: Any, values: Any) -> Any:
    """`values` as the class that `with_hints` made of their own."""
    parts = {f.name: getattr(values, f.name) for f in fields(values)}
    types = get_type_hints(kind)
    return kind(**{n: converted(types[n], v) if is_dataclass(v) else v for n, v in parts.items()})


def _hint(source: NamedIn, default: Any) -> str:
    return f"({source.hint()}{f'; default: {default}' if default else ''})"
