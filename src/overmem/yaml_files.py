"""YAML files that people write: mappings without tags, and of no more nodes than a person would write."""

from pathlib import Path
from typing import Any

import yaml

from overmem.errors import BadRequest, one_line
from overmem.json_text import HALF_A_CHARACTER, is_text

MOST_NODES = 100_000
"""Values of a file, with what aliases repeat: nested ones stand for more than fits into memory."""
LARGEST = 2**20
"""Bytes of a file."""


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping from a YAML file.

    Raises:
        BadRequest: no such file, not YAML, not a mapping of names, or too large.
    """
    if not path.is_file():
        raise BadRequest(f"no file at {str(path)!r}")
    if (size := path.stat().st_size) > LARGEST:
        raise BadRequest(f"{path} has {size:,} bytes; allowed: {LARGEST:,}")
    try:
        content = parse_yaml(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise BadRequest(f"{path} is not YAML: {one_line(error)}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise BadRequest(f"{path}: {type(content).__name__} where a mapping of names to values is expected")
    return content


def parse_yaml(text: str) -> Any:
    """The value that a YAML text holds.

    Raises:
        ValueError: not YAML, with tags, of too many values, or with half of a character.
    """
    try:
        if _count(yaml.compose(text, yaml.SafeLoader), {}) > MOST_NODES:
            raise ValueError(f"over {MOST_NODES:,} values, with those that aliases repeat")
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, OverflowError, TypeError, AttributeError) as error:
        raise ValueError(one_line(error) or type(error).__name__) from error


def _count(node: yaml.Node | None, counted: dict[int, int]) -> int:
    """Values below a node, each alias counted as what it stands for; a node inside itself counts as too many."""
    if node is None:
        return 0
    if id(node) not in counted:
        counted[id(node)] = MOST_NODES + 1
        if isinstance(node, yaml.ScalarNode) and not is_text(node.value):
            raise ValueError(HALF_A_CHARACTER)
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            parts = node.value
        elif isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        counted[id(node)] = 1 + sum(_count(part, counted) for part in parts)
    return counted[id(node)]
