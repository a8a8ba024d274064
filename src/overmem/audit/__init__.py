"""The verb `audit`: observes and measures every checkpoint of a run. Units of work that are already done are skipped.

The options are imported without torch; the other names import it when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from overmem.audit.options import Audit

if TYPE_CHECKING:
    from overmem.audit.estimate import AuditEstimate, estimate_audit
    from overmem.audit.verb import Audited, audit

__all__ = ["Audit", "AuditEstimate", "Audited", "audit", "estimate_audit"]

_MODULES = {"AuditEstimate": "estimate", "Audited": "verb", "audit": "verb", "estimate_audit": "estimate"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'overmem.audit' has no attribute {name!r}")
    return getattr(import_module(f"overmem.audit.{_MODULES[name]}"), name)
