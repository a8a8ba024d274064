"""Learning curves from a trainer's log, for runs that were not audited."""

from overmem.store.logs.curves import Logged
from overmem.store.logs.read import read_logged

__all__ = ["Logged", "read_logged"]
