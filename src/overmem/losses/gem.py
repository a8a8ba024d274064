"""Entropy-regularised matching of the data distribution."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from overmem.losses.gate import log_probabilities, require


def gem(logits: Float[Tensor, "n vocab"], labels: Int[Tensor, " n"], *, beta: float = 0.7) -> Float[Tensor, " n"]:
    """GEM: raises the label only against the tokens that a sharpened copy of the model prefers, keeping diversity.

    -sum_k q_k (log p_y - log p_k) with q = softmax(logits / beta), detached. Gradient: q - e_y.

    Args:
        logits: one row per token.
        labels: the next token of each position.
        beta: temperature of the sharpened copy, in (0, 1]; 1 makes the gradient that of cross-entropy.

    Source: Li et al. 2024, https://arxiv.org/abs/2408.16673.
    Differs from the paper: its variant with the linear h, the one its experiments use.
    """
    require(0 < beta <= 1, "gem", "beta", beta, "in (0, 1]")
    logprobs = log_probabilities(logits)
    sharpened = torch.softmax(logprobs.detach() / beta, dim=-1)
    return (sharpened * logprobs).sum(-1) - logprobs.gather(-1, labels[:, None]).squeeze(-1)
