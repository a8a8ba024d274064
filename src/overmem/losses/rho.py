"""Selective language modelling: train on the tokens with the highest excess loss."""

import torch
from jaxtyping import Float
from torch import Tensor

from overmem.losses.gate import Tokens, gated, reference, require


@gated(needs_reference=True, ranks_tokens=True)
def rho(logprob: Float[Tensor, " n"], tokens: Tokens, *, keep: float = 0.6) -> Float[Tensor, " n"]:
    """Selective language modelling: plain cross-entropy on the tokens with the highest excess loss, 0 on the others.

    Excess loss is the model's loss minus the reference's. Gate: 1 on the share `keep` of the tokens, 0 on the rest.

    Args:
        logprob: log probability of each label, nats.
        tokens: the reference's log probability of each label.
        keep: share of the tokens of one forward pass that is trained on, in (0, 1].

    Source: Lin et al. 2024 (Rho-1), https://arxiv.org/abs/2404.07965.
    Differs from the paper: the reference is the base model, not a model trained on
    curated text; the sum is divided by all tokens, not by the kept ones, so `keep` also scales the step. The ranking is
    within one forward pass, so gradient accumulation changes which tokens are kept.
    """
    require(0 < keep <= 1, "rho", "keep", keep, "in (0, 1]")
    excess = reference(tokens, "rho") - logprob.detach()
    count = min(len(excess), max(1, round(keep * len(excess))))
    kept = torch.zeros_like(excess, dtype=torch.bool)
    kept[excess.topk(count).indices] = True
    return torch.where(kept, -logprob, -logprob * 0.0)
