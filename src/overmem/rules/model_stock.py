"""The point nearest to the centre of the fine-tuned models, from their angle."""

from collections.abc import Sequence
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.linalg import vector_norm

from overmem.errors import BadRequest
from overmem.rules.weighting import require_base, weighted_sum


def model_stock(
    tensors: Sequence[Float[Tensor, "*shape"]], base: Float[Tensor, "*shape"] | None
) -> Float[Tensor, "*shape"]:
    """The average of the checkpoints, moved towards the base model the more their changes disagree.

    t mean_i theta_i + (1 - t) theta_0 with t = N cos / (1 + (N - 1) cos), where cos is the mean cosine between the
    changes of two of the N checkpoints; a negative cos counts as 0.

    Args:
        tensors: one parameter's value in each of two sources or more.
        base: its value in the base model.

    Source: Jang et al. 2024, https://arxiv.org/abs/2403.19522.
    Differs from the paper: t is derived there for models of several runs from one base; checkpoints of one run are more
    alike, which brings t closer to 1.
    """
    base = require_base(base, "model_stock")
    count = len(tensors)
    if count < 2:
        raise BadRequest(f"rule 'model_stock' merges at least two checkpoints; got {count}")
    changes = [tensor - base for tensor in tensors]
    cosines = [_cosine(u, v) for u, v in combinations(changes, 2)]
    cosine = max(0.0, sum(cosines) / len(cosines))
    t = count * cosine / (1 + (count - 1) * cosine)
    return base.add(weighted_sum(changes, [1.0 / count] * count), alpha=t)


def _cosine(u: Tensor, v: Tensor) -> float:
    """Cosine of the angle between two tensors, 1 if both are 0, 0 if only one is."""
    left, right = (float(vector_norm(tensor, dtype=torch.float64)) for tensor in (u, v))
    if left == 0.0 or right == 0.0:
        return 1.0 if left == right else 0.0
    return float((u * v).sum(dtype=torch.float64)) / (left * right)
