"""Random sparsification of the changes before they are added."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from overmem.rules.weighting import checked_fraction, require_base, source_weights, weighted_sum
from overmem.seeds import seed_of


def dare(
    tensors: Sequence[Float[Tensor, "*shape"]],
    base: Float[Tensor, "*shape"] | None,
    *,
    weights: Sequence[float] | None = None,
    drop: float = 0.5,
    scale: float = 1.0,
    seed: int = 0,
) -> Float[Tensor, "*shape"]:
    """The base model plus a random subset of the entries of each change, rescaled to keep the change's expectation.

    Each entry of tau_i = theta_i - theta_0 is dropped with probability `drop`, the others divided by (1 - drop); then
    theta_0 + scale sum_i w_i of what is left.

    Args:
        tensors: one parameter's value in each source.
        base: its value in the base model.
        weights: one per source, with any sum. None for equal ones that sum to 1.
        drop: probability that an entry of a change is dropped; with 0 the result is that of task_arithmetic.
        scale: factor on the summed change.
        seed: fixes which entries are dropped; independent for each source.

    Source: Yu et al. 2023, https://arxiv.org/abs/2311.03099.
    Differs from the paper: the default drops half of the entries, not nine tenths, because few models are merged here.
    """
    base = require_base(base, "dare")
    coefficients = source_weights(weights, len(tensors), rule="dare", sum_to_one=False)
    keep_share = 1.0 - checked_fraction(drop, "drop", "dare", high_open=True)
    changes = []
    for index, tensor in enumerate(tensors):
        generator = torch.Generator().manual_seed(seed_of(seed, "dare", index))
        keep_mask = torch.rand(base.shape, generator=generator) < keep_share
        changes.append(torch.where(keep_mask.to(base.device), tensor - base, 0.0) / keep_share)
    return base.add(weighted_sum(changes, coefficients), alpha=scale)
