"""Faster matrix products on a CPU: by oneDNN, with weights packed in its memory layout.

`torch.nn.functional.linear` uses unpacked weights there, which for a few rows, as in a decoding step, is up to twice as
slow. docs/results/audit_speed.md has measurements.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeGuard

import psutil
import torch
from torch import Tensor, nn

from overmem.models.loading import Model

SMALLEST = 2**14
"""Fewest entries of a weight that is packed."""
ROWS = 32
"""Rows of the products for which the layout is chosen."""
SHARE = 0.5
"""Share of the free memory that packed copies may take."""


@contextmanager
def packed(model: Model) -> Iterator[None]:
    """Inside the block, linear layers use packed copies of their weights, which must not change.

    Nothing changes if that is impossible: on other devices, without oneDNN or the memory, and for other layers.
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
    """Whether it is a plain linear layer on the CPU whose forward method is not overridden."""
    if type(layer) is not nn.Linear or "forward" in vars(layer):
        return False
    weight = layer.weight
    return weight.device.type == "cpu" and weight.dtype in kinds and weight.numel() >= SMALLEST


@torch.no_grad()
def _product(layer: nn.Linear) -> Callable[[Tensor], Tensor]:
    ops: Any = torch.ops.mkldnn
    weight, bias = ops._reorder_linear_weight(layer.weight.detach(), ROWS), layer.bias

    def forward(rows: Tensor) -> Tensor:
        product: Tensor = ops._linear_pointwise(rows, weight, bias, "none", [], "")
        return product

    return forward
