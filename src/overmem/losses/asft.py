"""Anchored supervised fine-tuning."""

import torch
from jaxtyping import Float
from torch import Tensor

from overmem.losses.gate import Tokens, gated, reference, require

LOG_HALF = -0.6931471805599453
MAX_LOGPROB = -1e-6
"""Log probabilities are clamped to this upper bound, so that log(1 - p) stays finite."""


def log_complement(logprob: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """log(1 - p) computed from log p, accurate both for p near 0 and for p near 1."""
    low = torch.log1p(-torch.exp(logprob.clamp(max=LOG_HALF)))
    high = torch.log(-torch.expm1(logprob.clamp(min=LOG_HALF, max=MAX_LOGPROB)))
    return torch.where(logprob < LOG_HALF, low, high)


@gated(needs_reference=True)
def asft(logprob: Float[Tensor, " n"], tokens: Tokens, *, anchor: float = 0.1) -> Float[Tensor, " n"]:
    """Anchored supervised fine-tuning: dft plus a penalty on leaving the base model.

    The penalty is the divergence KL(base || model) of the two-way outcome "the label or another token", from the base
    model's probability q_y of the label, which is computed once before training.
    Gate: p_y + anchor (q_y - p_y) / (1 - p_y).

    Args:
        logprob: log probability of each label, nats.
        tokens: the base model's log probability of each label.
        anchor: weight of the penalty (lambda of the paper).

    Source: Zhu et al. 2025, https://arxiv.org/abs/2509.23753.
    Differs from the paper: its penalty (in its authors' code) is KL(base || model) over the whole vocabulary, which
    needs the base model in memory. The two-way divergence is a lower bound of that (grouping outcomes never adds
    divergence), equal where the other tokens keep their proportions; shifts among the others are not penalised.
    """
    require(anchor >= 0, "asft", "anchor", anchor, ">= 0")
    base, model = reference(tokens, "asft").clamp(max=MAX_LOGPROB), logprob.clamp(max=MAX_LOGPROB)
    label = torch.exp(base) * (base - model)
    other = -torch.expm1(base) * (log_complement(base) - log_complement(model))
    return torch.exp(logprob).detach() * -logprob + anchor * (label + other)
