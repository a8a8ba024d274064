"""Random sparsification of the changes before they are added."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from overmem.rules.weighting import fraction, needed, source_weights, weighted_sum
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
    """The base model plus a random part of each change, rescaled so that its expectation is the full change.

    Each entry of tau_i = theta_i - theta_0 is dropped with probability `drop`, the others divided by (1 - drop); then
    theta_0 + scale sum_i w_i of what is left.

    Args:
        tensors: one parameter's value in each source.
        base: its value in the base model.
        weights: one per source, with any sum. None for equal ones that sum to 1.
        drop: probability that an entry of a change is dropped; 0 is task_arithmetic.
        scale: factor on the summed change.
        seed: fixes which entries are dropped; independent for each source.

    Source: Yu et al. 2023, https://arxiv.org/abs/2311.03099.
    Differs from the paper: the default drops half, not nine tenths, because the models merged here are few.
    """
    base = needed(base, "dare")
    each = source_weights(weights, len(tensors), rule="dare", sum_to_one=False)
    kept = 1.0 - fraction(drop, "drop", "dare", high_open=True)
    changes = []
    for index, tensor in enumerate(tensors):
        draw = torch.Generator().manual_seed(seed_of(seed, "dare", index))
        stays = torch.rand(base.shape, generator=draw) < kept
        changes.append(torch.where(stays.to(base.device), tensor - base, 0.0) / kept)
    return base.add(weighted_sum(changes, each), alpha=scale)
