"""`OvermemCallback`: plain nll and answer accuracy, the onset and the checkpoint to ship, in the trainer one has."""

from overmem.callback.bound import memory_bound
from overmem.callback.hooks import OvermemCallback
from overmem.callback.watch import CallbackConfig

__all__ = ["CallbackConfig", "OvermemCallback", "memory_bound"]
