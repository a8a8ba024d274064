"""LoRA adapters at a chosen rank: the merged weight update of every module, factorised again by its largest directions.

A linear rule's update is known as one adapter, exactly, and its singular values come from two small QR decompositions.
Any other rule combines the updates Delta W = s B A themselves, one module at a time, with a base of 0. What the rank
leaves out is the error: the size of what is missing as a share of the size of the whole update.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from overmem.errors import BadRequest
from overmem.merging.adapters import Adapter, check_compatible, factor_names, merged_config, role
from overmem.merging.blend import Blend, check_names
from overmem.merging.blocks import upcast
from overmem.merging.weights import Entry, Weights


class Factors(NamedTuple):
    """A matrix of low rank, up @ down, and what it leaves out."""

    up: Float[Tensor, "outputs rank"]
    down: Float[Tensor, "rank inputs"]
    missing: float
    """Squared size of what is left out."""
    total: float
    """Squared size of the whole."""


def factors_of_product(up: Float[Tensor, "outputs _"], down: Float[Tensor, "_ inputs"], rank: int) -> Factors:
    """The best approximation of up @ down at a rank; the product itself is not formed."""
    left, outer = torch.linalg.qr(up)  # [out r] -> [out k] [k r]
    right, inner = torch.linalg.qr(down.T)  # [in r] -> [in m] [m r]
    core = factors_of_matrix(outer @ inner.T, rank)  # [k m]
    return Factors(left @ core.up, core.down @ right.T, core.missing, core.total)


def factors_of_matrix(matrix: Float[Tensor, "outputs inputs"], rank: int) -> Factors:
    """The best approximation of a matrix at a rank: its largest singular values, half on either side."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    root = values[:rank].sqrt()
    squares = values.double() ** 2
    return Factors(
        left[:, :rank] * root, root[:, None] * right[:rank], float(squares[rank:].sum()), float(squares.sum())
    )


@dataclass
class _Module:
    """The factors of the last module: its A and B share one decomposition."""

    factors: Callable[[str], Factors]
    last: str = ""
    kept: Factors | None = None
    errors: dict[str, tuple[float, float]] = field(default_factory=dict)

    def of(self, module: str) -> Factors:
        """The factors of a module."""
        if self.kept is None or self.last != module:
            self.last, self.kept = module, self.factors(module)
            self.errors[module] = (self.kept.missing, self.kept.total)
        return self.kept

    def error(self, modules: Sequence[str]) -> float:
        """What the rank leaves out over all modules, as a share of the size of the whole update."""
        for module in modules:
            if module not in self.errors:
                self.of(module)
        missing, total = (sum(error[i] for error in self.errors.values()) for i in (0, 1))
        return sqrt(missing / total) if total > 0 else 0.0


def product_at_rank(exact: Blend, last: Weights, rank: int, dtype: torch.dtype | None) -> Blend:
    """A summed adapter at a lower rank.

    Args:
        exact: the sum, of any rank, in float32.
        last: the last source.
        rank: the rank of every module, at most.
        dtype: floating type of the result; None for that of the last source.

    Raises:
        BadRequest: DoRA, whose magnitudes belong to the exact update.
    """
    config = exact.config or {}
    if config.get("use_dora"):
        raise BadRequest("--rank: DoRA's magnitudes belong to its exact update; allowed: LoRA, or no --rank")
    modules = factor_names(exact.entries)

    def factors(module: str) -> Factors:
        up, down = (upcast(exact.tensor(modules[module][kind])) for kind in ("up", "down"))
        return factors_of_product(up, down, rank)

    return _at_rank(last, modules, factors, exact.tensor, rank, dtype, config)


def updates_at_rank(
    adapters: Sequence[Adapter],
    sources: Sequence[Weights],
    combine: Callable[[str, Sequence[Tensor], Tensor | None], Tensor],
    rank: int,
    *,
    base: Callable[[], Weights],
    dtype: torch.dtype | None,
) -> Blend:
    """Adapters combined by any rule on their weight updates, at a chosen rank.

    Args:
        adapters: the settings of each source.
        sources: the tensors of each source.
        combine: (name, values in the sources, value in the base) -> merged value; the base's update is 0.
        rank: the rank of every module, at most.
        base: opens the base model; called only for tensors that were trained in full.
        dtype: floating type of the result; None for that of the last source.

    Raises:
        BadRequest: adapters of different settings, DoRA, or an initialisation that changes the base's weights.
    """
    check_compatible(adapters)
    check_names([(str(source.folder), source.entries) for source in sources])
    if any(a.config.get("use_dora") or a.moved_init is not None for a in adapters):
        raise BadRequest("--rank with a rule that is not linear: allowed for LoRA, not for DoRA, PiSSA or OLoRA")
    last = sources[-1]
    modules = factor_names(last.entries)

    def factors(module: str) -> Factors:
        parts = []
        for adapter, source in zip(adapters, sources, strict=True):
            up, down = (upcast(source.read(modules[module][kind])) for kind in ("up", "down"))
            parts.append(adapter.scale(module, down.shape[0]) * (up @ down))  # [out r] [r in] -> [out in]
        return factors_of_matrix(combine(module, parts, torch.zeros_like(parts[0])), rank)

    def other(name: str) -> Tensor:
        kind, module = role(name)
        values = [upcast(source.read(name)) for source in sources]
        if kind == "whole":
            return combine(name, values, upcast(base().read(module.replace(".base_layer.", "."))))
        ranks = [source.entries[modules[module]["down"]].shape[0] for source in sources]
        scales = [adapter.scale(module, r) for adapter, r in zip(adapters, ranks, strict=True)]
        scaled = [scale * value for scale, value in zip(scales, values, strict=True)]  # a bias is part of B
        return combine(name, scaled, torch.zeros_like(values[0]))

    return _at_rank(last, modules, factors, other, rank, dtype, adapters[-1].config)


def _at_rank(
    last: Weights,
    modules: Mapping[str, Mapping[str, str]],
    factors: Callable[[str], Factors],
    other: Callable[[str], Tensor],
    rank: int,
    dtype: torch.dtype | None,
    config: Mapping[str, Any],
) -> Blend:
    """The adapter of the factors.

    Args:
        last: the last source; it sets the names and types.
        modules: module -> names of its A and B.
        factors: computes the factors of a module.
        other: computes a tensor that is neither A nor B.
        rank: the rank of every module, at most.
        dtype: floating type of the result; None for that of the last source.
        config: settings of the adapter.
    """
    cache = _Module(factors)
    entries, ranks = dict[str, Entry](), dict[str, int]()
    for name, entry in last.entries.items():
        kind, module = role(name)
        shape = entry.shape
        if kind in ("down", "up"):
            inputs, outputs = (last.entries[modules[module][k]].shape[axis] for k, axis in (("down", 1), ("up", 0)))
            ranks[module] = min(rank, inputs, outputs)
            shape = (ranks[module], inputs) if kind == "down" else (outputs, ranks[module])
        entries[name] = Entry(dtype if dtype and entry.dtype.is_floating_point else entry.dtype, shape)

    def tensor(name: str) -> Tensor:
        kind, module = role(name)
        if kind not in ("down", "up"):
            return other(name).to(entries[name].dtype)
        return padded(getattr(cache.of(module), kind), entries[name].shape).to(entries[name].dtype)

    settings = merged_config(Adapter(last.folder, config), ranks)
    return Blend(entries, tensor, settings, error=lambda: cache.error(list(modules)))


def padded(tensor: Float[Tensor, "_ _"], shape: tuple[int, ...]) -> Float[Tensor, "_ _"]:
    """A factor of a lower rank than asked for, with zeros for what is missing."""
    if tuple(tensor.shape) == shape:
        return tensor
    full = torch.zeros(shape, dtype=tensor.dtype)
    full[: tensor.shape[0], : tensor.shape[1]] = tensor
    return full
