"""JSON schemas of recipes and sweep files, for editors: keys, types, defaults, choices, and what each does.

python -m docs.making.schema docs/schema

In an editor with a YAML language server, the first line of a file names its schema:

    # yaml-language-server: $schema=path/to/docs/schema/recipe.json
"""

import json
import sys
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter

from overmem.audit.options import Audit
from overmem.cli.choices import descriptions
from overmem.store import write_text
from overmem.sweep.options import Sweep
from overmem.tables import NamedIn
from overmem.tasks.data import Data
from overmem.training.recipe import Recipe

NUMBER = r"^[-+]?[0-9.]+[eE][-+]?[0-9]+$"
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def described(schema: dict[str, Any], kind: type) -> dict[str, Any]:
    """The schema of a dataclass with the text of its fields, and the names that an option can choose from."""
    hints = get_type_hints(kind, include_extras=True)
    for name, text in descriptions(kind).items():
        entry = schema["properties"].get(name)
        if entry is None:
            continue
        entry.pop("title", None)
        entry["description"] = text
        if entry.get("type") == "number":  # YAML 1.1 takes 1e-3 for a text; overmem reads it as a number
            entry |= {"type": ["number", "string"], "pattern": NUMBER}
        marks = get_args(hints[name])[1:] if get_origin(hints[name]) is Annotated else ()
        if names := [choice for mark in marks if isinstance(mark, NamedIn) for choice in mark.choices()]:
            entry["examples"] = names
    return schema


def schema_of(kind: type, *inner: type) -> dict[str, Any]:
    """The JSON schema of a dataclass that a YAML file is read into, and of those that it contains."""
    assert is_dataclass(kind)
    schema = described(TypeAdapter(kind).json_schema(), kind)
    for other in inner:
        described(schema["$defs"][other.__name__], other)
    return {"$schema": DRAFT, **schema}


def recipe_schema() -> dict[str, Any]:
    """The schema of `overmem train`'s file."""
    return schema_of(Recipe, Data)


def sweep_schema() -> dict[str, Any]:
    """The schema of `overmem sweep`'s file: a part of a recipe, the factors, and options of an audit."""
    sweep, recipe = schema_of(Sweep), recipe_schema()
    options = described(TypeAdapter(Audit).json_schema(), Audit)
    parts = {"recipe": (recipe, ("output", "seed")), "audit": (options, ("run", "data", "base", "out"))}
    definitions: dict[str, Any] = {}
    for name, (part, set_by_the_sweep) in parts.items():
        definitions |= part.get("$defs", {})
        properties = {key: value for key, value in part["properties"].items() if key not in set_by_the_sweep}
        sweep["properties"][name] |= {"properties": properties, "additionalProperties": False}
    return {**sweep, "$defs": definitions}


SCHEMAS = {"recipe.json": recipe_schema, "sweep.json": sweep_schema}


def as_text(schema: dict[str, Any]) -> str:
    """The content of a schema's file."""
    return json.dumps(schema, indent=2, ensure_ascii=False, default=str) + "\n"


if __name__ == "__main__":
    for file, make in SCHEMAS.items():
        write_text(Path(sys.argv[1]) / file, as_text(make()))
