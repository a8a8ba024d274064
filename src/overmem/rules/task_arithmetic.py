"""Addition of task vectors."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from overmem.rules.weighting import require_base, source_weights, weighted_sum


def task_arithmetic(
    tensors: Sequence[Float[Tensor, "*shape"]],
    base: Float[Tensor, "*shape"] | None,
    *,
    weights: Sequence[float] | None = None,
    scale: float = 1.0,
) -> Float[Tensor, "*shape"]:
    """The base model plus a scaled, weighted sum of the changes that fine-tuning made to it.

    theta_0 + scale sum_i w_i (theta_i - theta_0). A scale below 1 moves the result towards the base, a scale above 1
    beyond the checkpoints.

    Args:
        tensors: one parameter's value in each source.
        base: its value in the base model.
        weights: one per source, with any sum. None for equal ones that sum to 1.
        scale: factor on the summed change.

    Source: Ilharco et al. 2022, https://arxiv.org/abs/2212.04089.
    Differs from the paper: the equal weights are 1/k each, not 1, so that k copies of a model give that model.
    """
    base = require_base(base, "task_arithmetic")
    coefficients = source_weights(weights, len(tensors), rule="task_arithmetic", sum_to_one=False)
    return base.add(weighted_sum([tensor - base for tensor in tensors], coefficients), alpha=scale)
