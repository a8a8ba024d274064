"""`OvermemCallback`: plain nll and answer accuracy, the onset and the checkpoint to ship, in the trainer one has."""

from overmem.callback.config import CallbackConfig
from overmem.callback.hooks import OvermemCallback
from overmem.callback.memory import memory_bound

__all__ = ["CallbackConfig", "OvermemCallback", "memory_bound"]
