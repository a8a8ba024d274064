"""Writing, reading and validating the plan of a run. Schema 2 is written, 1 and 2 are read."""

from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from overmem.errors import BadRequest
from overmem.json_text import parse_json
from overmem.records import READABLE_SCHEMAS, Checkpoint, Plan
from overmem.store.files import write_json
from overmem.store.paths import Run

_RENAMED = {"audit": "options", "cut": "carved_splits"}
"""Key of schema 1 -> key of schema 2."""


def write_plan(run: Run, plan: Plan) -> None:
    """Write the plan of `audit`."""
    write_json(run.plan_path, plan)


def find_plan(run: Run) -> Plan | None:
    """The plan; None if the run was not audited.

    Raises:
        BadRequest: it cannot be read.
    """
    return read_plan(run) if run.plan_path.is_file() else None


def read_plan(run: Run) -> Plan:
    """The plan of `audit`.

    Raises:
        BadRequest: the run was not audited, or its plan is damaged or has an unsupported schema.
    """
    path = run.plan_path
    if not path.is_file():
        raise BadRequest(f"{run.root} has not been audited (no {path}); run `overmem audit {run.root}` first")
    try:
        content: Any = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadRequest(f"{path} is damaged ({_short(error)}); delete it and run `overmem audit` again") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema not in READABLE_SCHEMAS:
        raise BadRequest(f"{path} has schema {str(schema)[:40]}, this overmem reads 1 and 2")
    if schema == 1:
        content = {_RENAMED.get(key, key): value for key, value in content.items()}
    try:
        return _plan_adapter().validate_python(content | {"schema": 2})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BadRequest(
            f"{path} cannot be read: {where}: {first['msg'].lower()}; delete it and run `overmem audit` again"
        ) from error


@cache
def _plan_adapter() -> TypeAdapter[Plan]:
    """Made once: it takes longer than reading a plan."""
    return TypeAdapter(Plan)


def time_order(checkpoint: Checkpoint) -> tuple[bool, int, str]:
    """Sort key of checkpoints: the trained ones in time order, then the merged ones by name."""
    return (True, 0, checkpoint.name) if checkpoint.merged_from else (False, checkpoint.step, "")


def read_checkpoints(run: Run) -> tuple[Checkpoint, ...]:
    """The audited checkpoints: the base, the trained ones in time order, the merged ones."""
    return read_plan(run).checkpoints


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
