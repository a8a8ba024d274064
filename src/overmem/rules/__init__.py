"""Merge rules: `(tensors, base, *, knobs) -> tensor`, one parameter at a time, at least in float32.

`tensors` are the values of one parameter in the source checkpoints, in order; `base` is its value in the base model, or
None for a rule that does not need it. The knob `weights` has one number per source; None stands for equal weights. The
knob `seed` of a random rule is set by the caller, differently for every parameter.
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
"""Rules that use the base model's weights."""

LINEAR: Final = frozenset({"linear", "wise_ft", "task_arithmetic"})
"""Rules whose result is a fixed linear combination of sources and base: the only ones that keep an adapter low-rank."""
