"""Entropy-adaptive fine-tuning."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from overmem.losses.gate import Tokens, gated, require


@gated
def eaft(logprob: Float[Tensor, " n"], tokens: Tokens, *, top: int = 20, alpha: float = 1.0) -> Float[Tensor, " n"]:
    """Entropy-adaptive fine-tuning: each token's loss weighted by the model's entropy at it.

    A label that contradicts a confident prediction gets little weight.
    Gate: (H / ln K)^alpha, with H the entropy of the K likeliest tokens, renormalised.

    Args:
        logprob: log probability of each label, nats.
        tokens: the distribution.
        top: K, how many tokens the entropy is taken over; the vocabulary if that is smaller.
        alpha: exponent of the weight; 0 is plain cross-entropy.

    Source: https://arxiv.org/abs/2601.02151.
    Differs from the paper: nothing known; published implementations divide by 3 in place of ln 20.
    """
    require(top >= 2, "eaft", "top", top, ">= 2")
    probabilities = tokens.probabilities()
    likeliest = probabilities.topk(min(top, probabilities.shape[-1]), dim=-1).values
    share = likeliest / likeliest.sum(-1, keepdim=True)
    entropy = -torch.xlogy(share, share).sum(-1)
    weight = (entropy / math.log(likeliest.shape[-1])).clamp(0.0, 1.0) ** alpha
    return weight * -logprob
