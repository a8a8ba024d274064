"""The names that an option accepts, from the tables of methods; listed by `--help` and completed by the shell."""

from collections.abc import Iterator
from dataclasses import MISSING, field, fields, is_dataclass, make_dataclass
from typing import Annotated, Any, get_type_hints

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


def with_hints(kind: Any) -> Any:
    """The options with the allowed names after each description; only for `--help`."""
    import tyro

    new_fields = []
    annotations = get_type_hints(kind, include_extras=True)
    for original in fields(kind):
        annotation, default = annotations[original.name], original.default
        if is_dataclass(annotation):
            nested = with_hints(annotation)
            new_fields.append((original.name, nested, field(default_factory=nested)))
        elif (source := named_in(annotation)) and default is not MISSING:
            help_hint = tyro.conf.arg(help_behavior_hint=_hint(source, default))
            new_fields.append((original.name, Annotated[annotation, help_hint], field(default=default)))
    return make_dataclass(kind.__name__, new_fields, bases=(kind,), frozen=True) if new_fields else kind


def convert(kind: Any, values: Any) -> Any:
    """Convert `values` to the class that `with_hints` returned."""
    parts = {f.name: getattr(values, f.name) for f in fields(values)}
    types = get_type_hints(kind)
    return kind(**{n: convert(types[n], v) if is_dataclass(v) else v for n, v in parts.items()})


def _hint(source: NamedIn, default: Any) -> str:
    return f"({source.hint()}{f'; default: {default}' if default else ''})"
