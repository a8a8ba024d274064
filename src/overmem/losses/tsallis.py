"""The power family between cross-entropy and expected error."""

import torch
from jaxtyping import Float
from torch import Tensor

from overmem.losses.gate import Tokens, gated, require


def deformed_nll(logprob: Float[Tensor, " n"], order: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """(1 - p^a) / a: minus the deformed logarithm of p, which tends to -log p as the order a tends to 0."""
    nonzero = torch.where(order == 0, torch.ones_like(order), order)
    return torch.where(order == 0, -logprob, -torch.expm1(nonzero * logprob) / nonzero)


@gated
def tsallis(logprob: Float[Tensor, " n"], tokens: Tokens, *, order: float = 0.5) -> Float[Tensor, " n"]:
    """Tsallis loss (1 - p_y^a) / a: plain cross-entropy at a = 0, one minus the probability at a = 1.

    Gate: p_y^a.

    Args:
        logprob: log probability of each label, nats.
        tokens: not used.
        order: the exponent a; the larger, the smaller the gradients of unlikely tokens.

    Source: https://arxiv.org/abs/2510.00526.
    Differs from the paper: only the power family of the objectives that it studies.
    """
    require(order >= 0, "tsallis", "order", order, ">= 0")
    return deformed_nll(logprob, torch.full_like(logprob, order))
