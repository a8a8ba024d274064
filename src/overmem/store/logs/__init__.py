"""Learning curves from a trainer's log, for runs that were not audited."""

from overmem.store.logs.curves import LogCurves
from overmem.store.logs.read import read_log

__all__ = ["LogCurves", "read_log"]
