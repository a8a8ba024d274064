"""Learning curves of a run that nobody audited: what its trainer logged."""

from overmem.store.logs.curves import Logged
from overmem.store.logs.read import read_logged

__all__ = ["Logged", "read_logged"]
