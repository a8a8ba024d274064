"""`OvermemCallback`: plain nll, answer accuracy, the onset and the checkpoint to ship, in an existing trainer."""

from overmem.callback.config import CallbackConfig
from overmem.callback.hooks import OvermemCallback
from overmem.callback.memory import memory_bound

__all__ = ["CallbackConfig", "OvermemCallback", "memory_bound"]
