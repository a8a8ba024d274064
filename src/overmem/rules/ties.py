"""Trim, elect a sign, average the changes that agree."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from overmem.rules.weighting import checked_fraction, require_base, source_weights, weighted_sum


def ties(
    tensors: Sequence[Float[Tensor, "*shape"]],
    base: Float[Tensor, "*shape"] | None,
    *,
    weights: Sequence[float] | None = None,
    density: float = 0.2,
    scale: float = 1.0,
) -> Float[Tensor, "*shape"]:
    """The base model plus the largest changes, averaged over the checkpoints that agree on their sign.

    Trim: of each change tau_i keep the `density` largest entries. Elect: the sign of sum_i w_i tau_i, entry by entry.
    Disjoint mean: the weighted mean of the kept entries that have this sign; 0 where there is none. The result is
    theta_0 + scale times that mean. Checkpoints of one run seldom disagree, and then this is mostly a trimmed average.

    Args:
        tensors: one parameter's value in each source.
        base: its value in the base model.
        weights: one per source, with any sum above 0. None for equal ones.
        density: share of the entries that is kept.
        scale: factor on the merged change.

    Source: Yadav et al. 2023, https://arxiv.org/abs/2306.01708.
    Differs from the paper: trims within each parameter, not over the whole model; changes may be weighted.
    """
    base = require_base(base, "ties")
    coefficients = source_weights(weights, len(tensors), rule="ties", sum_to_one=False)
    share = checked_fraction(density, "density", "ties", low_open=True)
    changes = [_trimmed(tensor - base, share) for tensor in tensors]
    elected = torch.sign(weighted_sum(changes, coefficients))
    total, weight = torch.zeros_like(base), torch.zeros_like(base)
    for change, coefficient in zip(changes, coefficients, strict=True):
        agrees = (torch.sign(change) == elected) & (elected != 0)
        total += torch.where(agrees, change * coefficient, 0.0)
        weight += torch.where(agrees, coefficient, 0.0)
    return base.add(torch.where(weight != 0, total / weight, 0.0), alpha=scale)


def _trimmed(change: Tensor, share: float) -> Tensor:
    """`change` with all but its largest entries set to 0; ties with the smallest kept entry are kept too."""
    kept = max(1, round(share * change.numel()))
    if kept >= change.numel():
        return change
    size = change.abs()
    threshold = size.flatten().kthvalue(change.numel() - kept + 1).values
    return torch.where(size >= threshold, change, 0.0)
