"""Interpolation between the base and a fine-tuned model."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from overmem.rules.weighting import checked_fraction, require_base, source_weights, weighted_sum


def wise_ft(
    tensors: Sequence[Float[Tensor, "*shape"]],
    base: Float[Tensor, "*shape"] | None,
    *,
    weights: Sequence[float] | None = None,
    alpha: float = 0.5,
) -> Float[Tensor, "*shape"]:
    """Interpolation between the base model and the (averaged) checkpoints.

    (1 - alpha) theta_0 + alpha sum_i w_i theta_i.

    Args:
        tensors: one parameter's value in each source.
        base: its value in the base model.
        weights: one per source, summing to 1. None for equal ones.
        alpha: 0 is the base, 1 the checkpoints.

    Source: Wortsman et al. 2021, https://arxiv.org/abs/2109.01903.
    Differs from the paper: several checkpoints are averaged first.
    """
    base = require_base(base, "wise_ft")
    coefficients = source_weights(weights, len(tensors), rule="wise_ft", sum_to_one=True)
    share = checked_fraction(alpha, "alpha", "wise_ft")
    return torch.lerp(base, weighted_sum(tensors, coefficients), share)
