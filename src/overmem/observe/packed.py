"""On a CPU, a model's matrix products by oneDNN, with the weights in the order that it reads them in.

What `torch.nn.functional.linear` calls there reads a weight as it lies in memory; for a few rows, as in a step of
completing, that is up to twice as slow. docs/results/audit_speed.md has what it is worth.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn

from overmem.checkpoints import Model

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
        layers = [m for m in model.modules() if type(m) is nn.Linear and _can_be_packed(m.weight)]
    if sum(layer.weight.nbytes for layer in layers) > SHARE * psutil.virtual_memory().available:
        layers = []
    try:
        for layer in layers:
            layer.__dict__["forward"] = _product(layer)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)


def _can_be_packed(weight: Tensor) -> bool:
    kinds = [torch.float32]
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        kinds.append(torch.bfloat16)
    return weight.device.type == "cpu" and weight.dtype in kinds and weight.numel() >= SMALLEST


@torch.no_grad()
def _product(layer: nn.Linear) -> Callable[[Tensor], Tensor]:
    ops: Any = torch.ops.mkldnn
    weight, bias = ops._reorder_linear_weight(layer.weight.detach(), ROWS), layer.bias

    def forward(rows: Tensor) -> Tensor:
        found: Tensor = ops._linear_pointwise(rows, weight, bias, "none", [], "")
        return found

    return forward
