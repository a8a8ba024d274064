"""Weighted sums of stored tensors, block by block."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from overmem.merging.weights import Weights
from overmem.rules.weighting import weighted_sum

_BLOCK = 2**18
"""Elements of a block: a few of them in float32 fit into a processor's cache."""


def upcast(tensor: Tensor) -> Tensor:
    """`tensor` in float32, or unchanged in float64: merges are summed at least in float32."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def sum_in_blocks(
    sources: Sequence[Weights], coefficients: Sequence[float], name: str, dtype: torch.dtype
) -> Iterator[Tensor]:
    """The weighted sum of a tensor, block by block in memory that is used again: as of whole tensors, but faster.

    Args:
        sources: the weights of each source.
        coefficients: one per source.
        name: of the tensor.
        dtype: of the sum.
    """
    count = math.prod(sources[0].entries[name].shape)
    blocks = [torch.empty(min(_BLOCK, count), dtype=source.entries[name].dtype) for source in sources]
    upcasts = [torch.empty_like(block, dtype=upcast(block[:0]).dtype) for block in blocks]
    total, result = torch.empty_like(upcasts[0]), torch.empty_like(blocks[0], dtype=dtype)
    for start in range(0, count, _BLOCK):
        length = min(_BLOCK, count - start)
        for source, block, wide in zip(sources, blocks, upcasts, strict=True):
            source.read_part(name, block[:length], start)
            wide.copy_(block)
        yield result.copy_(weighted_sum(upcasts, coefficients, out=total))[:length]
