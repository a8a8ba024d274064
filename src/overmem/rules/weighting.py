"""Checks of the knobs that merge rules share, and the weighted sum."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from overmem.errors import BadRequest


def source_weights(weights: Sequence[float] | None, sources: int, *, rule: str, sum_to_one: bool) -> list[float]:
    """One weight per source; 1 / sources each for None.

    Raises:
        BadRequest: no source, a wrong number of weights, a weight that is not finite, or a sum other than 1 where the
            sum must be 1.
    """
    if sources == 0:
        raise BadRequest(f"rule {rule!r} merges at least one checkpoint; got none")
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


def weighted_sum(tensors: Sequence[Tensor], weights: Sequence[float], out: Tensor | None = None) -> Tensor:
    """Sum of w_i tensors_i, in `out` if given; a weight of 0 skips its tensor, even if it has infinite values."""
    total = None
    for tensor, weight in zip(tensors, weights, strict=True):
        if weight == 0.0:
            continue
        total = torch.mul(tensor, weight, out=out) if total is None else total.add_(tensor, alpha=weight)
    return tensors[0].new_zeros(tensors[0].shape) if total is None else total


def require_base(base: Tensor | None, rule: str) -> Tensor:
    """The parameter's value in the base model.

    Raises:
        BadRequest: there is none.
    """
    if base is None:
        raise BadRequest(f"rule {rule!r} needs the base model's weights; give --base")
    return base


def checked_fraction(value: float, knob: str, rule: str, *, low_open: bool = False, high_open: bool = False) -> float:
    """Return `value` after checking that it is in [0, 1].

    Args:
        value: the knob's value.
        knob: its name.
        rule: name of the rule.
        low_open: whether 0 is excluded.
        high_open: whether 1 is excluded.

    Raises:
        BadRequest: it is outside.
    """
    inside = (value > 0 if low_open else value >= 0) and (value < 1 if high_open else value <= 1)
    if not inside:
        allowed = f"{'(' if low_open else '['}0, 1{')' if high_open else ']'}"
        raise BadRequest(f"rule {rule!r}: {knob} is {value}; allowed: {allowed}")
    return value
