"""The verb `compare`: the recommended, the last and equally accurate checkpoints of two runs.

The options are imported without polars and scipy; the other names import them when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from overmem.compare.options import Compare

if TYPE_CHECKING:
    from overmem.compare.verb import Comparison, compare
    from overmem.records.comparisons import Pair

__all__ = ["Compare", "Comparison", "Pair", "compare"]

_MODULES = {
    "Comparison": "overmem.compare.verb",
    "Pair": "overmem.records.comparisons",
    "compare": "overmem.compare.verb",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'overmem.compare' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
