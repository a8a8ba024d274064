"""On a CPU, a model's matrix products by oneDNN, with the weights in the order that it reads them in.

What `torch.nn.functional.linear` calls there reads a weight as it lies in memory; for a few rows, as in a step of
completing, that is up to twice as slow. docs/results/audit_speed.md has what it is worth.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeGuard

import psutil
import torch
from torch import Tensor, nn

from overmem.models.loading import Model

SMALLEST = 2**14
"""Entries of a weight that is worth packing."""
ROWS = 32
"""Rows of a product that the order of the weights is chosen for."""
SHARE = 0.5
"""Of the memory that is free, what the packed copy may take."""


@contextmanager
def packed(model: Model) -> Iterator[None]:
    """Linear layers multiply by packed copies of their weights inside, and by themselves after.

    Where that cannot be done (no CPU, no oneDNN, no room for the copies, layers of another kind) all is as it was. The
    weights must not change inside.
    """
    layers = []
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        kinds = [torch.float32, *[torch.bfloat16] * torch.ops.mkldnn._is_mkldnn_bf16_supported()]
        layers = [m for m in model.modules() if _can_be_packed(m, kinds)]
    if sum(layer.weight.nbytes for layer in layers) > SHARE * psutil.virtual_memory().available:
        layers = []
    try:
        for layer in layers:
            vars(layer)["forward"] = _product(layer)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def _can_be_packed(layer: nn.Module, kinds: Sequence[torch.dtype]) -> TypeGuard[nn.Linear]:
    """Whether it is a plain linear layer on the CPU that nobody has put another forward call into."""
    if type(layer) is not nn.Linear or "forward" in vars(layer):
        return False
    weight = layer.weight
    return weight.device.type == "cpu" and weight.dtype in kinds and weight.numel() >= SMALLEST


@torch.no_grad()
def _product(layer: nn.Linear) -> Callable[[Tensor], Tensor]:
    ops: Any = torch.ops.mkldnn
    weight, bias = ops._reorder_linear_weight(layer.weight.detach(), ROWS), layer.bias

    def forward(rows: Tensor) -> Tensor:
        found: Tensor = ops._linear_pointwise(rows, weight, bias, "none", [], "")
        return found

    return forward
