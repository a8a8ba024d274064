"""What a merge writes, tensor by tensor: of full weights by any rule, of LoRA adapters by the rules that are linear."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from overmem.errors import BadCheckpoint, BadRequest
from overmem.merging.adapters import (
    Adapter,
    agreeing,
    combined_dora,
    merged_config,
    part_taken,
    role,
    stacked_down,
    stacked_up,
)
from overmem.merging.weights import Entry, Weights
from overmem.rules.weighting import weighted_sum

_HEAD = "lm_head.weight"
_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight")


@dataclass(frozen=True)
class Blend:
    """The tensors of a merged model: what each is, and the function that makes it."""

    entries: Mapping[str, Entry]
    tensor: Callable[[str], Tensor]
    config: Mapping[str, Any] | None = field(default=None)
    """Settings of a merged adapter."""


def upcast(tensor: Tensor) -> Tensor:
    """`tensor` in float32, or in float64 if it is that already: merges are summed in nothing less."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def blend_full(
    sources: Sequence[Weights],
    base: Weights | None,
    combine: Callable[[str, Sequence[Tensor], Tensor | None], Tensor],
    *,
    dtype: torch.dtype | None,
    tied: bool,
) -> Blend:
    """Every tensor of the sources combined; tensors that are not floating point are the last source's.

    Args:
        sources: in order; the last one gives the types.
        base: the base model, where the rule asks for it.
        combine: (name, values in the sources, value in the base) -> merged value.
        dtype: floating type of the result, None for the last source's.
        tied: the output layer is the embedding, so that a copy of it in a file is left out.

    Raises:
        BadCheckpoint: the models differ in names or shapes; the message says where.
    """
    everyone = [*sources, *([base] if base is not None else [])]
    kept = [_without_copies(one) if tied else dict(one.entries) for one in everyone]
    _same_names([(str(one.folder), names) for one, names in zip(everyone, kept, strict=True)])
    for name, entry in kept[0].items():
        for one, names in zip(everyone, kept, strict=True):
            if names[name].shape != entry.shape:
                raise BadCheckpoint(
                    f"tensor {name} is {list(entry.shape)} in {everyone[0].folder} and {list(names[name].shape)} in "
                    f"{one.folder}; only models of one shape can be merged"
                )
    last = sources[-1]
    entries = {
        name: Entry(dtype if dtype and entry.dtype.is_floating_point else entry.dtype, entry.shape)
        for name, entry in last.entries.items()
        if name in kept[0]
    }

    def tensor(name: str) -> Tensor:
        if not last.entries[name].dtype.is_floating_point:
            return last.read(name)
        below = upcast(base.read(name)) if base is not None else None
        merged = combine(name, [upcast(one.read(name)) for one in sources], below)
        return merged.to(entries[name].dtype)

    return Blend(entries, tensor)


def _without_copies(one: Weights) -> dict[str, Entry]:
    """The tensors of a tied model without the output layer, where that is a copy of the embedding."""
    names = dict(one.entries)
    embedding = next((name for name in names if name.endswith(_EMBEDDINGS)), None)
    if _HEAD in names and embedding is not None and torch.equal(one.read(_HEAD), one.read(embedding)):
        del names[_HEAD]
    return names


def _same_names(named: Sequence[tuple[str, Mapping[str, Entry]]]) -> None:
    where, first = named[0]
    for other, names in named[1:]:
        for lacking, full, gap in ((other, where, first.keys() - names.keys()), (where, other, names.keys() - first)):
            if gap:
                some = ", ".join(sorted(gap)[:3]) + (f" and {len(gap) - 3} more" if len(gap) > 3 else "")
                raise BadCheckpoint(f"{lacking} lacks {some}, which {full} has; only like models can be merged")


def blend_adapters(
    adapters: Sequence[Adapter],
    sources: Sequence[Weights],
    coefficients: Sequence[float],
    base: Callable[[], Weights],
    *,
    dtype: torch.dtype | None,
) -> Blend:
    """One adapter whose change of the weights is sum_i c_i s_i B_i A_i, exactly; a source of coefficient 0 is left out.

    Args:
        adapters: the settings of each source.
        sources: the tensors of each.
        coefficients: c, of any sum.
        base: opens the base model; called for DoRA, and for whole tensors where the coefficients do not sum to 1.
        dtype: floating type of the result, None for the last source's.

    Raises:
        BadRequest: adapters of different set-up.
        BadCheckpoint: they differ in names or shapes.
    """
    agreeing(adapters)
    _same_names([(str(one.folder), one.entries) for one in sources])
    used = [i for i, c in enumerate(coefficients) if c != 0.0] or [len(sources) - 1]
    chosen, scales = [sources[i] for i in used], [float(coefficients[i]) for i in used]
    modules: dict[str, dict[str, str]] = {}
    for name in chosen[0].entries:
        kind, module = role(name)
        modules.setdefault(module, {})[kind] = name
    lora = _Lora([adapters[i] for i in used], chosen, scales, base, modules)
    last, entries, ranks = sources[-1], dict[str, Entry](), dict[str, int]()
    for name, entry in last.entries.items():
        shapes = [one.entries[name].shape for one in chosen]
        kind, module = role(name)
        varies = {"down": 0, "up": 1}.get(kind)
        if varies is not None and any(len(shape) != 2 for shape in shapes):
            raise BadRequest(f"{name} adapts a layer that is not a matrix; convolutions are not merged")
        fixed = [shape if varies is None else shape[1 - varies : 2 - varies] for shape in shapes]
        if any(shape != fixed[0] for shape in fixed):
            raise BadCheckpoint(f"tensor {name} has shapes {', '.join(str(list(s)) for s in shapes)} in the sources")
        shape = shapes[-1]
        if varies is not None:
            rank = sum(shape[varies] for shape in shapes) + sum(rank for _, rank, _ in lora.taken(module))
            shape = (rank, fixed[0][0]) if kind == "down" else (fixed[0][0], rank)
            ranks[module] = rank
        entries[name] = Entry(dtype if dtype and entry.dtype.is_floating_point else entry.dtype, shape)

    def tensor(name: str) -> Tensor:
        if not entries[name].dtype.is_floating_point:
            return last.read(name)
        return lora.tensor(name).to(entries[name].dtype)

    if not ranks:
        raise BadCheckpoint(f"{last.folder} holds no LoRA matrices")
    return Blend(entries, tensor, merged_config(adapters[-1], ranks))


@dataclass(frozen=True)
class _Lora:
    """The adapters that are summed."""

    adapters: Sequence[Adapter]
    sources: Sequence[Weights]
    coefficients: Sequence[float]
    base: Callable[[], Weights]
    modules: Mapping[str, Mapping[str, str]]
    """Tensor name by module and role."""
    known: dict[str, list[tuple[float, Tensor, Tensor]]] = field(default_factory=dict)
    """What was taken from the base in the module at hand: its decomposition serves A and B."""

    def tensor(self, name: str) -> Tensor:
        """One tensor of the sum."""
        kind, module = role(name)
        parts = [upcast(one.read(name)) for one in self.sources]
        taken = self._parts_taken(module) if kind in ("down", "up") else []
        if kind == "down":
            return stacked_down([*parts, *(down for _, _, down in taken)])
        if kind == "whole":
            rest = 1.0 - sum(self.coefficients)
            if abs(rest) < 1e-9:
                return weighted_sum(parts, self.coefficients)
            return weighted_sum([*parts, upcast(self.base().read(module))], [*self.coefficients, rest])
        scales = [scale for _, scale in self._scales(module)]
        if self.adapters[0].config.get("use_dora"):
            return self._dora(kind, module, scales)
        factors = [c * s for c, s in zip(self.coefficients, scales, strict=True)]
        if kind == "bias":
            return weighted_sum(parts, factors)
        return stacked_up([*parts, *(up for _, up, _ in taken)], [*factors, *(-c for c, _, _ in taken)])

    def _scales(self, module: str) -> list[tuple[int, float]]:
        """Rank and scale of each source in a module."""
        down = self.modules[module]["down"]
        ranks = [one.entries[down].shape[0] for one in self.sources]
        return [(rank, one.scale(module, rank)) for one, rank in zip(self.adapters, ranks, strict=True)]

    def taken(self, module: str) -> dict[tuple[str, int, float], float]:
        """(initialisation, rank, scale) -> summed coefficient of the sources that took this part of the base."""
        parts: dict[tuple[str, int, float], float] = {}
        for one, (rank, scale), c in zip(self.adapters, self._scales(module), self.coefficients, strict=True):
            if one.takes is not None:
                parts[one.takes, rank, scale] = parts.get((one.takes, rank, scale), 0.0) + c
        return parts

    def _parts_taken(self, module: str) -> list[tuple[float, Tensor, Tensor]]:
        """(coefficient, up, down) of every part that was taken from the base."""
        if module not in self.known:
            self.known.clear()
            self.known[module] = []
            if parts := self.taken(module):
                weight = upcast(self.base().read(f"{module}.weight"))
                matrix = weight.t() if self.adapters[0].config.get("fan_in_fan_out") else weight
                self.known[module] = [(c, *part_taken(matrix, *part)) for part, c in parts.items()]
        return self.known[module]

    def _dora(self, kind: str, module: str, scales: Sequence[float]) -> Tensor:
        if kind == "bias" or "embedding" in self.modules[module]["down"]:
            raise BadRequest(f"{module}: DoRA on an embedding, or with a bias of its own, is not merged")
        values = {k: [upcast(one.read(name)) for one in self.sources] for k, name in self.modules[module].items()}
        made = combined_dora(
            upcast(self.base().read(f"{module}.weight")),
            values["down"],
            values["up"],
            values["magnitude"],
            scales,
            self.coefficients,
            fan_in_fan_out=bool(self.adapters[0].config.get("fan_in_fan_out")),
        )
        return made.up if kind == "up" else made.magnitude
