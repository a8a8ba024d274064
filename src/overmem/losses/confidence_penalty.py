"""Confidence penalty."""

from jaxtyping import Float, Int
from torch import Tensor

from overmem.losses.gate import log_probabilities, require


def confidence_penalty(
    logits: Float[Tensor, "n vocab"], labels: Int[Tensor, " n"], *, weight: float = 0.1
) -> Float[Tensor, " n"]:
    """Confidence penalty: cross-entropy minus the weighted entropy of the distribution. It can be negative.

    l - b H(p). Gradient: (p - e_y) + b p (log p + H).

    Args:
        logits: one row per token.
        labels: the next token of each position.
        weight: b, the weight of the entropy.

    Source: Pereyra et al. 2017, https://arxiv.org/abs/1701.06548.
    Differs from the paper: nothing; no annealing of the weight.
    """
    require(weight >= 0, "confidence_penalty", "weight", weight, ">= 0")
    logprobs = log_probabilities(logits)
    entropy = -(logprobs.exp() * logprobs).sum(-1)
    return -logprobs.gather(-1, labels[:, None]).squeeze(-1) - weight * entropy
