"""Observe every checkpoint of a run, and measure it. A unit of work that is done already is skipped.

The options load without torch; the verb and the estimate load it when they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from overmem.audit.options import Audit

if TYPE_CHECKING:
    from overmem.audit.estimate import AuditEstimate, estimate_audit
    from overmem.audit.verb import Audited, audit

__all__ = ["Audit", "AuditEstimate", "Audited", "audit", "estimate_audit"]

_PLACES = {"AuditEstimate": "estimate", "Audited": "verb", "audit": "verb", "estimate_audit": "estimate"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'overmem.audit' has no attribute {name!r}")
    return getattr(import_module(f"overmem.audit.{_PLACES[name]}"), name)
