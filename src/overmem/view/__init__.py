"""`overmem view RUN...`: serves every observed example of one or several runs to a browser.

The options are imported without polars; the other names import it when they are first used.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from overmem.view.server import Server, open_server

__all__ = ["Server", "View", "open_server"]


@dataclass(frozen=True)
class View:
    """Serve the examples of runs to a browser on this machine."""

    runs: tuple[str, ...]
    """Audited run directories, or folders of them; the audit may still be running."""
    out: str | None = None
    """Where overmem's files are, if there is only one run; by default RUN/overmem."""
    host: str = "127.0.0.1"
    """Address to listen on; any but a loopback address shows the runs to everybody who can reach this machine."""
    port: int = 8737
    """Port to listen on; 0 takes a free one."""


def __getattr__(name: str) -> Any:
    if name not in ("Server", "open_server"):
        raise AttributeError(f"module 'overmem.view' has no attribute {name!r}")
    return getattr(import_module("overmem.view.server"), name)
