"""Engines complete prompts. One class per file, one table.

Solutions are always scored by the Hugging Face model, because no engine gives every statistic that is recorded.
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
"""Engine by name. One of your own is named "module:Class" and needs no entry here."""


def engine_of(name: str) -> type[Engine]:
    """The engine of this name.

    Raises:
        BadRequest: an unknown name, a class that is not an engine, or one whose packages are not installed.
    """
    engine: Any = resolve(ENGINES, name, "engine")
    if not (isinstance(engine, type) and issubclass(engine, Engine)):
        raise BadRequest(f"engine {name!r} is not a subclass of overmem.observe.engines.Engine")
    missing = [package for package in engine.packages if importlib.util.find_spec(package) is None]
    if missing:
        ready = [other for other, kind in ENGINES.items() if not kind.packages]
        raise BadRequest(
            f"--engine {name} needs {', '.join(missing)}, which is not installed: {engine.install}; "
            f"allowed without it: {', '.join(ready)}"
        )
    return engine
