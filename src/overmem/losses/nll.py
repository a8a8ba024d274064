"""Plain cross-entropy."""

from jaxtyping import Float
from torch import Tensor

from overmem.losses.gate import Tokens, gated


@gated
def nll(logprob: Float[Tensor, " n"], tokens: Tokens) -> Float[Tensor, " n"]:
    """Negative log-likelihood: plain cross-entropy, in nats.

    Gate: 1.

    Source: the usual objective of supervised fine-tuning.
    Differs from the paper: nothing.
    """
    return -logprob
