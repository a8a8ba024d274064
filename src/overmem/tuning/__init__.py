"""Fine-tuning methods: `(model, *, knobs) -> model`. Each prepares the model so that only its weights are trainable."""

from typing import Final

from overmem.tables import Table
from overmem.tuning.dora import dora
from overmem.tuning.full import full
from overmem.tuning.ia3 import ia3
from overmem.tuning.ln_tuning import ln_tuning
from overmem.tuning.lora import lora
from overmem.tuning.olora import olora
from overmem.tuning.pissa import pissa
from overmem.tuning.prompt_tuning import prompt_tuning
from overmem.tuning.rslora import rslora
from overmem.tuning.vera import vera

TUNING: Final[Table] = {
    "full": full,
    "lora": lora,
    "rslora": rslora,
    "dora": dora,
    "pissa": pissa,
    "olora": olora,
    "vera": vera,
    "ia3": ia3,
    "ln_tuning": ln_tuning,
    "prompt_tuning": prompt_tuning,
}
"""Every method by name. One of your own is "module:function" and needs no line here."""
CHANGES_BASE: Final = frozenset({"full", "pissa", "olora", "ln_tuning"})
"""Methods that change the base's own weights, which must then be floating-point."""
