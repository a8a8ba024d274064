"""Memorization-aware reweighting."""

import torch
from jaxtyping import Float
from torch import Tensor

from overmem.losses.gate import Tokens, gated


@gated
def mar(logprob: Float[Tensor, " n"], tokens: Tokens, *, stop_gradient: bool = True) -> Float[Tensor, " n"]:
    """Memorization-aware reweighting: each token's loss weighted by one minus its probability.

    A token with p_y near 1 is known; pushing it further only sharpens the distribution. Gate: 1 - p_y. Without the
    stop-gradient the weight is differentiated too, and the loss is focal with gamma 1, whose gate is
    (1 - p_y) - p_y log p_y.

    Args:
        logprob: log probability of each label, nats.
        tokens: not used.
        stop_gradient: whether the weight is held constant when differentiating.

    Source: https://arxiv.org/abs/2508.04117.
    Differs from the paper: nothing; `stop_gradient=False` is the other reading of its formula.
    """
    weight = -torch.expm1(logprob)
    return (weight.detach() if stop_gradient else weight) * -logprob
