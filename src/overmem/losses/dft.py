"""Dynamic fine-tuning."""

import torch
from jaxtyping import Float
from torch import Tensor

from overmem.losses.gate import Tokens, gated


@gated
def dft(logprob: Float[Tensor, " n"], tokens: Tokens) -> Float[Tensor, " n"]:
    """Dynamic fine-tuning: each token's loss weighted by its own (detached) probability.

    The gradient of cross-entropy carries a factor 1 / p_y, so the least likely tokens have the largest gradients; this
    cancels it. Gate: p_y. The loss approaches 0 both for p_y near 1 and near 0: its value is not comparable with
    cross-entropy.

    Source: Wu et al. 2025, https://arxiv.org/abs/2508.05629.
    Differs from the paper: nothing.
    """
    return torch.exp(logprob).detach() * -logprob
