"""The options of `overmem watch`."""

from dataclasses import dataclass

from overmem.audit.options import Audit


@dataclass(frozen=True)
class Watch(Audit):
    """What to audit while it is trained, and when to end."""

    every: float = 2.0
    """Seconds between two looks for new checkpoints. One that exists for longer is judged, even if the trainer deletes
    it afterwards."""
    pid: int | None = None
    """The training process: watching ends after it has ended. By default when the trainer's state says that the last
    step is done."""
    idle: str = "6h"
    """End when no checkpoint has come for this long: 90s, 30m, 2h."""
