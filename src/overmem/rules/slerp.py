"""Interpolation on the sphere."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.linalg import vector_norm

from overmem.errors import BadRequest
from overmem.rules.weighting import source_weights


def slerp(
    tensors: Sequence[Float[Tensor, "*shape"]],
    base: Float[Tensor, "*shape"] | None,
    *,
    weights: Sequence[float] | None = None,
    parallel: float = 0.9995,
) -> Float[Tensor, "*shape"]:
    """Interpolation of two checkpoints along the arc between them, which keeps the norm (an average has a smaller one).

    [sin((1-t) O) u + sin(t O) v] / sin O, where O is the angle between u and v and t the second weight; linear where
    |cos O| > `parallel`. Checkpoints of one run are mostly that close, so that the result is that of `linear`.

    Args:
        tensors: one parameter's value in each of two sources.
        base: not used.
        weights: two, summing to 1. None for 1/2 each.
        parallel: |cos| beyond which the two count as parallel.

    Source: Shoemake 1985, https://doi.org/10.1145/325334.325242.
    Differs from the paper: each parameter is one vector, of any norm; the angle is that of the directions.
    """
    if len(tensors) != 2:
        raise BadRequest(f"rule 'slerp' merges two checkpoints; got {len(tensors)}")
    first, t = source_weights(weights, 2, rule="slerp", sum_to_one=True)
    u, v = tensors
    norms = float(vector_norm(u, dtype=torch.float64) * vector_norm(v, dtype=torch.float64))
    cosine = float((u * v).sum(dtype=torch.float64)) / norms if norms > 0 else 1.0
    if abs(cosine) > parallel:
        return u * first + v * t
    angle = torch.arccos(torch.tensor(cosine, dtype=torch.float64))
    u_factor, v_factor = torch.sin(first * angle) / torch.sin(angle), torch.sin(t * angle) / torch.sin(angle)
    return u * float(u_factor) + v * float(v_factor)
