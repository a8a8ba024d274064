"""Averaging of weights."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from overmem.rules.weighting import source_weights, weighted_sum


def linear(
    tensors: Sequence[Float[Tensor, "*shape"]],
    base: Float[Tensor, "*shape"] | None,
    *,
    weights: Sequence[float] | None = None,
) -> Float[Tensor, "*shape"]:
    """Weighted average of the checkpoints; the paper averages two of them with weight 1/2 each.

    sum_i w_i theta_i. Equal weights give LAWA over the last k checkpoints of a run, a uniform soup over models of runs.

    Args:
        tensors: one parameter's value in each source.
        base: not used.
        weights: one per source, summing to 1; negative ones extrapolate. None for equal ones.

    Source: https://arxiv.org/abs/2508.04117 (two checkpoints); https://arxiv.org/abs/2203.05482 (soups);
        https://arxiv.org/abs/2209.14981 (LAWA).
    Differs from the paper: any number of checkpoints and any weights that sum to 1.
    """
    return weighted_sum(tensors, source_weights(weights, len(tensors), rule="linear", sum_to_one=True))
