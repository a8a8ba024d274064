"""Focal loss."""

import torch
from jaxtyping import Float
from torch import Tensor

from overmem.losses.gate import Tokens, gated, require

TINY = 1e-12
"""Lower bound of 1 - p_y before the power: at 0, a gamma below 1 would have an infinite slope."""


@gated
def focal(logprob: Float[Tensor, " n"], tokens: Tokens, *, gamma: float = 2.0) -> Float[Tensor, " n"]:
    """Focal loss: cross-entropy times (1 - p_y)^gamma; the weight is differentiated too.

    Gate: (1 - p_y)^(gamma - 1) [(1 - p_y) - gamma p_y log p_y].

    Args:
        logprob: log probability of each label, nats.
        tokens: not used.
        gamma: how strongly likely tokens are down-weighted; 0 is plain cross-entropy.

    Source: Lin et al. 2017, https://arxiv.org/abs/1708.02002.
    Differs from the paper: over a vocabulary instead of two classes, without the class balance alpha.
    """
    require(gamma >= 0, "focal", "gamma", gamma, ">= 0")
    return (-torch.expm1(logprob)).clamp(min=TINY) ** gamma * -logprob
