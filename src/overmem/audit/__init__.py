"""Observe every checkpoint of a run, and measure it. A unit of work that stands is not done again."""

from overmem.audit.estimate import AuditEstimate, estimate_audit
from overmem.audit.options import Audit
from overmem.audit.verb import Audited, audit

__all__ = ["Audit", "AuditEstimate", "Audited", "audit", "estimate_audit"]
