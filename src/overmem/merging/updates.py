"""How the weight updates of two checkpoints lie to each other: whether a merge of them keeps what both have learned.

The update of full weights is theta - base. That of a LoRA adapter is Delta W = s B A, whose inner product with another
is s t sum((B_1^T B_2) * (A_1 A_2^T)): no matrix of the base's size is formed.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from math import sqrt
from pathlib import Path

import torch
from torch import Tensor

from overmem.merging.adapters import factor_names, read_adapter
from overmem.merging.blocks import upcast
from overmem.merging.weights import Weights, model_folder, open_weights
from overmem.models.discovery import CheckpointRef
from overmem.records.searches import Updates


def updates(refs: Sequence[CheckpointRef], start: str, end: str) -> Updates | None:
    """The angle between two checkpoints' updates, and the size of their mean; None without the base's weights.

    For adapters, only their matrices A and B are compared: not DoRA's magnitudes, nor tensors trained in full.

    Args:
        refs: the checkpoints of the run, the base among them if it is known.
        start: name of one checkpoint.
        end: name of the other.
    """
    by_name = {ref.checkpoint.name: ref for ref in refs}
    if "base" in (start, end) or not {start, end} <= by_name.keys():
        return None
    ends = [by_name[start], by_name[end]]
    with ExitStack() as stack:
        if all(ref.is_adapter for ref in ends):
            gram = _adapters(ends, [stack.enter_context(open_weights(Path(ref.path))) for ref in ends])
        elif "base" in by_name and not any(ref.is_adapter for ref in ends):
            folders = [model_folder(ref.path) for ref in (*ends, by_name["base"])]
            gram = _full(*(stack.enter_context(open_weights(folder)) for folder in folders))
        else:
            return None
    first, second, inner = gram
    if first <= 0 or second <= 0:
        return None
    mean = sqrt(max(0.0, first + second + 2 * inner)) / 2
    return Updates(inner / sqrt(first * second), mean / ((sqrt(first) + sqrt(second)) / 2))


def _full(first: Weights, second: Weights, base: Weights) -> tuple[float, float, float]:
    """Squared sizes of two updates of full weights, and their inner product."""
    gram = [0.0, 0.0, 0.0]
    for name, entry in first.entries.items():
        if entry.dtype.is_floating_point and name in second.entries and name in base.entries:
            zero = upcast(base.read(name))
            a, b = upcast(first.read(name)) - zero, upcast(second.read(name)) - zero
            for i, (x, y) in enumerate(((a, a), (b, b), (a, b))):
                gram[i] += float((x * y).sum())
    return gram[0], gram[1], gram[2]


def _adapters(ends: Sequence[CheckpointRef], weights: Sequence[Weights]) -> tuple[float, float, float]:
    """Squared sizes of two weight updates of adapters, and their inner product."""
    adapters = [read_adapter(Path(ref.path)) for ref in ends]
    gram = [0.0, 0.0, 0.0]
    for module, names in factor_names(weights[0].entries).items():
        if not all(name in source.entries for name in names.values() for source in weights) or len(names) < 2:
            continue
        parts = [(upcast(source.read(names["up"])), upcast(source.read(names["down"]))) for source in weights]
        scales = [adapter.scale(module, down.shape[0]) for adapter, (_, down) in zip(adapters, parts, strict=True)]
        for i, (j, k) in enumerate(((0, 0), (1, 1), (0, 1))):
            gram[i] += scales[j] * scales[k] * _inner(parts[j], parts[k])
    return gram[0], gram[1], gram[2]


def _inner(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> float:
    """The inner product of two matrices B A."""
    ups, downs = first[0].T @ second[0], first[1] @ second[1].T  # [r out] [out s] -> [r s], twice
    return float(torch.sum(ups * downs))
