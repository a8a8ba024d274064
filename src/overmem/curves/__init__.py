"""Learning curves of a run that nobody audited: what its trainer logged."""

from overmem.curves.logged import Logged, read_logged

__all__ = ["Logged", "read_logged"]
