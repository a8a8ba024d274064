"""The verb `diagnose`: the regime of a run, onset, severity, costs, and which checkpoint to ship.

The options are imported without polars and scipy; the other names import them when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from overmem.diagnose.options import Diagnose

if TYPE_CHECKING:
    from overmem.diagnose.pipeline import FAIL_ON, check_conditions, exit_code
    from overmem.diagnose.pruning import prune
    from overmem.diagnose.verb import diagnose
    from overmem.wording.markdown import markdown

__all__ = ["FAIL_ON", "Diagnose", "check_conditions", "diagnose", "exit_code", "markdown", "prune"]

_MODULES = {
    "FAIL_ON": "overmem.diagnose.pipeline",
    "check_conditions": "overmem.diagnose.pipeline",
    "diagnose": "overmem.diagnose.verb",
    "exit_code": "overmem.diagnose.pipeline",
    "markdown": "overmem.wording.markdown",
    "prune": "overmem.diagnose.pruning",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'overmem.diagnose' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
