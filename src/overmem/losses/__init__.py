"""Token losses: `(logits [n vocab], labels [n], *, knobs) -> loss [n]`, nats, unreduced, labels already shifted."""

from typing import Final

from overmem.losses.mar import mar
from overmem.losses.nll import nll
from overmem.tables import Table

LOSSES: Final[Table] = {
    "nll": nll,
    "mar": mar,
}
"""Every loss by name. One of your own is "module:function" and needs no line here."""
