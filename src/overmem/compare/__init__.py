"""Compare two runs: the checkpoints that they would ship, end with, and reach the same accuracy with.

The options load without polars and scipy; the rest loads when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from overmem.compare.options import Compare

if TYPE_CHECKING:
    from overmem.compare.verb import Comparison, compare
    from overmem.records.comparisons import Pair

__all__ = ["Compare", "Comparison", "Pair", "compare"]

_PLACES = {
    "Comparison": "overmem.compare.verb",
    "Pair": "overmem.records.comparisons",
    "compare": "overmem.compare.verb",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'overmem.compare' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
