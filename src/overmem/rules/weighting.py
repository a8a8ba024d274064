"""The weights of a merge, checked: one finite number per source."""

import math
from collections.abc import Sequence

from torch import Tensor

from overmem.errors import BadRequest


def source_weights(weights: Sequence[float] | None, sources: int, *, rule: str, sum_to_one: bool) -> list[float]:
    """One weight per source; 1 / sources each for None.

    Raises:
        BadRequest: another number of weights than sources, one that is not finite, or a sum other than 1 if
            that would scale the model.
    """
    if sources == 0:
        raise BadRequest(f"rule {rule!r} merges at least one checkpoint; none given")
    if weights is None:
        return [1.0 / sources] * sources
    if len(weights) != sources:
        raise BadRequest(f"rule {rule!r}: {len(weights)} weights for {sources} checkpoints; give one each")
    values = [float(w) for w in weights]
    if not all(map(math.isfinite, values)):
        raise BadRequest(f"rule {rule!r}: weights {values} are not all finite")
    if sum_to_one and abs(sum(values) - 1.0) > 1e-6:
        raise BadRequest(
            f"rule {rule!r}: weights {values} sum to {sum(values):g}; they must sum to 1, or the model is scaled "
            "(task_arithmetic scales the change from the base instead)"
        )
    return values


def weighted_sum(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Sum of w_i tensors_i; a weight of 0 skips its tensor, even if it has infinite values."""
    total = None
    for tensor, weight in zip(tensors, weights, strict=True):
        if weight == 0.0:
            continue
        total = tensor * weight if total is None else total.add_(tensor, alpha=weight)
    return tensors[0].new_zeros(tensors[0].shape) if total is None else total


def needed(base: Tensor | None, rule: str) -> Tensor:
    """The base's value.

    Raises:
        BadRequest: there is none.
    """
    if base is None:
        raise BadRequest(f"rule {rule!r} needs the base model's weights; give --base")
    return base


def fraction(value: float, knob: str, rule: str, *, low_open: bool = False, high_open: bool = False) -> float:
    """`value`, checked to be in [0, 1].

    Args:
        value: the knob's value.
        knob: its name.
        rule: name of the rule.
        low_open: exclude 0.
        high_open: exclude 1.

    Raises:
        BadRequest: it is outside.
    """
    inside = (value > 0 if low_open else value >= 0) and (value < 1 if high_open else value <= 1)
    if not inside:
        span = f"{'(' if low_open else '['}0, 1{')' if high_open else ']'}"
        raise BadRequest(f"rule {rule!r}: {knob} is {value}; allowed: {span}")
    return value
