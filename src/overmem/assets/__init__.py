"""Data files that ship with the package, read by name and validated as they are read."""

from importlib import resources
from typing import Any

from pydantic import TypeAdapter


def read_asset(name: str, shape: Any) -> Any:
    """The JSON file `name` of this folder as a `shape`, for example `tuple[str, ...]` or a dataclass.

    Raises:
        pydantic.ValidationError: the file does not have that shape.
    """
    content = (resources.files(__name__) / name).read_bytes()
    return TypeAdapter(shape).validate_json(content)
