"""The example that shows how a run's examples are read: written by whoever observes, read by who judges."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from overmem.json_text import parse_json
from overmem.records.shown import ShownExample
from overmem.store.files import write_json
from overmem.store.paths import Run


def write_shown(run: Run, shown: ShownExample) -> None:
    """Keep the example."""
    write_json(run.shown_path, shown)


def read_shown(run: Run) -> ShownExample | None:
    """The example; None where none was kept, or it is damaged: nothing depends on it."""
    try:
        found: Any = parse_json(run.shown_path.read_text(encoding="utf-8"))
        return TypeAdapter(ShownExample).validate_python(found)
    except (OSError, ValueError, ValidationError):
        return None
