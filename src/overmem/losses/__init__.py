"""Token losses: `(logits [n vocab], labels [n], *, knobs) -> loss [n]`, nats, unreduced, labels already shifted.

`neftune` is not among them: it adds noise of at most a / sqrt(tokens x width) to the embeddings while training
(https://arxiv.org/abs/2310.05914), and transformers' Trainer has it as `neftune_noise_alpha`.
"""

from typing import Final

from overmem.losses.asft import asft
from overmem.losses.confidence_penalty import confidence_penalty
from overmem.losses.deft import deft
from overmem.losses.dft import dft
from overmem.losses.eaft import eaft
from overmem.losses.focal import focal
from overmem.losses.gem import gem
from overmem.losses.goldfish import goldfish
from overmem.losses.label_smoothing import label_smoothing
from overmem.losses.mar import mar
from overmem.losses.nll import nll
from overmem.losses.rho import rho
from overmem.losses.tsallis import tsallis
from overmem.tables import Table

LOSSES: Final[Table] = {
    "nll": nll,
    "mar": mar,
    "focal": focal,
    "dft": dft,
    "tsallis": tsallis,
    "deft": deft,
    "eaft": eaft,
    "gem": gem,
    "label_smoothing": label_smoothing,
    "confidence_penalty": confidence_penalty,
    "goldfish": goldfish,
    "rho": rho,
    "asft": asft,
}
"""Every loss by name. One of your own is "module:function" and needs no line here."""
