"""Learning curves of a run that nobody audited: what its trainer logged."""

from overmem.store.logs.read import Logged, read_logged

__all__ = ["Logged", "read_logged"]
