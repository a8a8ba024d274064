"""The weights of a merge, checked: one finite number a source."""

import math
from collections.abc import Sequence

from torch import Tensor

from overmem.errors import BadRequest


def source_weights(weights: Sequence[float] | None, sources: int, *, rule: str, sum_to_one: bool) -> list[float]:
    """One weight a source, 1 / sources each where none are given.

    Raises:
        BadRequest: another number of weights than sources, one that is not finite, or a sum other than 1 where the
            rule would then scale the model.
    """
    if sources == 0:
        raise BadRequest(f"rule {rule!r} merges at least one checkpoint; none given")
    if weights is None:
        return [1.0 / sources] * sources
    if len(weights) != sources:
        raise BadRequest(f"rule {rule!r}: {len(weights)} weights for {sources} checkpoints; give one each")
    given = [float(w) for w in weights]
    if not all(map(math.isfinite, given)):
        raise BadRequest(f"rule {rule!r}: weights {given} are not all finite")
    if sum_to_one and abs(sum(given) - 1.0) > 1e-6:
        raise BadRequest(
            f"rule {rule!r}: weights {given} sum to {sum(given):g}; they must sum to 1, or the model is scaled "
            "(task_arithmetic scales the change from the base instead)"
        )
    return given


def weighted_sum(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Sum of w_i tensors_i; a weight of 0 leaves its tensor out, infinite values or not."""
    total = None
    for tensor, weight in zip(tensors, weights, strict=True):
        if weight == 0.0:
            continue
        total = tensor * weight if total is None else total.add_(tensor, alpha=weight)
    return tensors[0].new_zeros(tensors[0].shape) if total is None else total


def needed(base: Tensor | None, rule: str) -> Tensor:
    """The base's value.

    Raises:
        BadRequest: it was not given.
    """
    if base is None:
        raise BadRequest(f"rule {rule!r} needs the base model's weights; give --base")
    return base


def fraction(value: float, knob: str, rule: str, *, low_open: bool = False, high_open: bool = False) -> float:
    """`value`, once it is known to lie in [0, 1], without an end that is open.

    Raises:
        BadRequest: it does not.
    """
    inside = (value > 0 if low_open else value >= 0) and (value < 1 if high_open else value <= 1)
    if not inside:
        span = f"{'(' if low_open else '['}0, 1{')' if high_open else ']'}"
        raise BadRequest(f"rule {rule!r}: {knob} is {value}; it must lie in {span}")
    return value
