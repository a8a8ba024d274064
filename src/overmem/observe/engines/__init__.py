"""Engines: what completes prompts. One class a file, one literal table.

Solutions are scored by the Hugging Face model whatever the engine: no other one gives every statistic that is recorded.
"""

import importlib.util
from collections.abc import Mapping
from typing import Any, Final

from overmem.errors import BadRequest
from overmem.observe.engines.engine import Engine
from overmem.observe.engines.hf import HuggingFace
from overmem.observe.engines.vllm import VLLM
from overmem.tables import resolve

__all__ = ["ENGINES", "Engine", "engine_of"]

ENGINES: Final[Mapping[str, type[Engine]]] = {
    "hf": HuggingFace,
    "vllm": VLLM,
}
"""Every engine by name. One of your own is "module:Class" and needs no line here."""


def engine_of(name: str) -> type[Engine]:
    """The engine of this name.

    Raises:
        BadRequest: an unknown name, a class that is no engine, or one whose packages are not installed.
    """
    found: Any = resolve(ENGINES, name, "engine")
    if not (isinstance(found, type) and issubclass(found, Engine)):
        raise BadRequest(f"engine {name!r} is no subclass of overmem.observe.engines.Engine")
    missing = [package for package in found.packages if importlib.util.find_spec(package) is None]
    if missing:
        ready = [other for other, kind in ENGINES.items() if not kind.packages]
        raise BadRequest(
            f"--engine {name} needs {', '.join(missing)}, which is not installed: {found.install}; "
            f"allowed without it: {', '.join(ready)}"
        )
    return found
