"""Merge rules: `(tensors, base, *, knobs) -> tensor`, one parameter at a time, at least in float32.

`tensors` are one parameter's values in the source checkpoints, in their order; `base` its value in the base model, None
where a rule does not need it. The knob `weights` has one number a source, None for equal ones; the knob `seed`, where
a rule has one, is made different for every parameter by the caller.
"""

from typing import Final

from overmem.rules.dare import dare
from overmem.rules.linear import linear
from overmem.rules.model_stock import model_stock
from overmem.rules.slerp import slerp
from overmem.rules.task_arithmetic import task_arithmetic
from overmem.rules.ties import ties
from overmem.rules.wise_ft import wise_ft
from overmem.tables import Table

RULES: Final[Table] = {
    "linear": linear,
    "wise_ft": wise_ft,
    "task_arithmetic": task_arithmetic,
    "slerp": slerp,
    "ties": ties,
    "dare": dare,
    "model_stock": model_stock,
}
"""Every rule by name. One of your own is "module:function" and needs no line here."""

NEEDS_BASE: Final = frozenset({"wise_ft", "task_arithmetic", "ties", "dare", "model_stock"})
"""Rules that look at the change from the base model."""

LINEAR: Final = frozenset({"linear", "wise_ft", "task_arithmetic"})
"""Rules whose result is a fixed combination of sources and base: the only ones that leave an adapter of low rank."""
