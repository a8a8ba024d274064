"""The options of `overmem watch`."""

from dataclasses import dataclass

from overmem.audit.options import Audit


@dataclass(frozen=True)
class Watch(Audit):
    """What to audit during training, and when to end."""

    every: float = 2.0
    """Seconds between two searches for new checkpoints. A checkpoint that exists for longer is judged, even if the
    trainer deletes it afterwards."""
    pid: int | None = None
    """Process id of the training: watching ends after that process has ended; by default when the trainer's state has
    the last step."""
    idle: str = "6h"
    """End when there was no new checkpoint for this long: 90s, 30m, 2h."""
