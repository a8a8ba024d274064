"""The tensors of a merged model, computed one at a time: full weights by any rule, LoRA adapters by linear rules."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from overmem.errors import BadCheckpoint, BadRequest
from overmem.merging.adapters import (
    Adapter,
    check_compatible,
    combined_dora,
    merged_config,
    moved_part,
    role,
    stacked_down,
    stacked_up,
)
from overmem.merging.blocks import sum_in_blocks, upcast
from overmem.merging.shards import Pieces
from overmem.merging.weights import Entry, Weights
from overmem.rules.weighting import weighted_sum

_HEAD = "lm_head.weight"
_TOKEN_ROWS = ".token_adapter.trainable_tokens_delta"
"""Ending of the name of trained rows of an embedding: the rows themselves, in the order of their indices."""
_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight")


@dataclass(frozen=True)
class Blend:
    """The tensors of a merged model: their types and shapes, and the function that computes one."""

    entries: Mapping[str, Entry]
    tensor: Callable[[str], Tensor]
    config: Mapping[str, Any] | None = field(default=None)
    """Settings of a merged adapter."""
    in_blocks: Pieces | None = None
    """Computes the same values block by block; None if a tensor has to be computed as a whole."""
    error: Callable[[], float] | None = None
    """What the chosen rank of an adapter leaves out, as a share of the size of its update; None if it is exact."""

    @property
    def pieces(self) -> Pieces:
        """The values of a tensor, in as small pieces as it can be computed in."""
        return self.in_blocks or (lambda name: [self.tensor(name)])


def blend_full(
    sources: Sequence[Weights],
    base: Weights | None,
    combine: Callable[[str, Sequence[Tensor], Tensor | None], Tensor],
    *,
    dtype: torch.dtype | None,
    tied: bool,
    coefficients: Sequence[float] | None = None,
) -> Blend:
    """Combine every tensor of the sources; tensors that are not floating point are taken from the last source.

    Args:
        sources: the weights of each source; the last one sets the types.
        base: the base model's weights, for rules that need them.
        combine: (name, values in the sources, value in the base) -> merged value.
        dtype: floating type of the result; None for that of the last source.
        tied: whether the output layer shares its weights with the embedding; a copy in a file is then left out.
        coefficients: of the sources if the rule is a weighted sum, which is then written block by block.

    Raises:
        BadCheckpoint: the models differ in names or shapes; the message says where.
    """
    models = [*sources, *([base] if base is not None else [])]
    entries_of = [_without_copies(model) if tied else dict(model.entries) for model in models]
    check_names([(str(model.folder), names) for model, names in zip(models, entries_of, strict=True)])
    for name, entry in entries_of[0].items():
        for model, names in zip(models, entries_of, strict=True):
            if names[name].shape != entry.shape:
                raise BadCheckpoint(
                    f"tensor {name} is {list(entry.shape)} in {models[0].folder} and {list(names[name].shape)} in "
                    f"{model.folder}; only models of the same shape can be merged"
                )
    last = sources[-1]
    entries = {
        name: Entry(dtype if dtype and entry.dtype.is_floating_point else entry.dtype, entry.shape)
        for name, entry in last.entries.items()
        if name in entries_of[0]
    }

    def tensor(name: str) -> Tensor:
        if not last.entries[name].dtype.is_floating_point:
            return last.read(name)
        base_tensor = upcast(base.read(name)) if base is not None else None
        merged = combine(name, [upcast(source.read(name)) for source in sources], base_tensor)
        return merged.to(entries[name].dtype)

    def pieces(name: str) -> Iterable[Tensor]:
        if coefficients is None or not last.entries[name].dtype.is_floating_point:
            return [tensor(name)]
        return sum_in_blocks(sources, coefficients, name, entries[name].dtype)

    return Blend(entries, tensor, in_blocks=pieces)


def _without_copies(model: Weights) -> dict[str, Entry]:
    """The tensors of a tied model, without an output layer that is a copy of the embedding."""
    names = dict(model.entries)
    embedding = next((name for name in names if name.endswith(_EMBEDDINGS)), None)
    if _HEAD in names and embedding is not None and torch.equal(model.read(_HEAD), model.read(embedding)):
        del names[_HEAD]
    return names


def check_names(named: Sequence[tuple[str, Mapping[str, Entry]]]) -> None:
    """Refuse folders that do not hold the same tensor names."""
    first_folder, first = named[0]
    for folder, names in named[1:]:
        for incomplete, complete, missing in (
            (folder, first_folder, first.keys() - names.keys()),
            (first_folder, folder, names.keys() - first),
        ):
            if missing:
                listed = ", ".join(sorted(missing)[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
                raise BadCheckpoint(
                    f"{incomplete} lacks {listed}, which {complete} has; only models of one architecture can be merged"
                )


def blend_adapters(
    adapters: Sequence[Adapter],
    sources: Sequence[Weights],
    coefficients: Sequence[float],
    base: Callable[[], Weights],
    *,
    dtype: torch.dtype | None,
) -> Blend:
    """One adapter whose Delta W is exactly sum_i c_i s_i B_i A_i; sources with coefficient 0 are left out.

    Args:
        adapters: the settings of each source.
        sources: the tensors of each source.
        coefficients: c of each source, with any sum.
        base: opens the base model; called only if its weights are needed: for DoRA, for initialisations that changed
            it, and for tensors trained in full if the coefficients do not sum to 1.
        dtype: floating type of the result; None for that of the last source.

    Raises:
        BadRequest: adapters with different settings.
        BadCheckpoint: they differ in names or shapes.
    """
    check_compatible(adapters)
    check_names([(str(source.folder), source.entries) for source in sources])
    used = [i for i, c in enumerate(coefficients) if c != 0.0] or [len(sources) - 1]
    chosen, scales = [sources[i] for i in used], [float(coefficients[i]) for i in used]
    modules: dict[str, dict[str, str]] = {}
    for name in chosen[0].entries:
        kind, module = role(name)
        modules.setdefault(module, {})[kind] = name
    lora = _Lora([adapters[i] for i in used], chosen, scales, base, modules)
    last, entries, ranks = sources[-1], dict[str, Entry](), dict[str, int]()
    for name, entry in last.entries.items():
        shapes = [source.entries[name].shape for source in chosen]
        kind, module = role(name)
        rank_axis = {"down": 0, "up": 1}.get(kind)
        if rank_axis is not None and any(len(shape) != 2 for shape in shapes):
            raise BadRequest(f"{name} adapts a layer that is not a matrix; convolutions are not merged")
        other_axes = [shape if rank_axis is None else shape[1 - rank_axis : 2 - rank_axis] for shape in shapes]
        if any(shape != other_axes[0] for shape in other_axes):
            raise BadCheckpoint(f"tensor {name} has shapes {', '.join(str(list(s)) for s in shapes)} in the sources")
        shape = shapes[-1]
        if rank_axis is not None:
            rank = sum(shape[rank_axis] for shape in shapes) + sum(
                rank for _, rank, _ in lora.moved_coefficients(module)
            )
            shape = (rank, other_axes[0][0]) if kind == "down" else (other_axes[0][0], rank)
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
    """The adapters to sum; computes the tensors of the sum."""

    adapters: Sequence[Adapter]
    sources: Sequence[Weights]
    coefficients: Sequence[float]
    base: Callable[[], Weights]
    modules: Mapping[str, Mapping[str, str]]
    """Tensor name by module and role."""
    moved_cache: dict[str, list[tuple[float, Tensor, Tensor]]] = field(default_factory=dict)
    """Cache of the parts that the last module moved out of the base: A and B share one decomposition."""

    def tensor(self, name: str) -> Tensor:
        """One tensor of the sum."""
        kind, module = role(name)
        parts = [upcast(source.read(name)) for source in self.sources]
        moved = self._moved_parts(module) if kind in ("down", "up") else []
        if kind == "down":
            return stacked_down([*parts, *(down for _, _, down in moved)])
        if kind == "whole":
            base_coefficient = 1.0 - sum(self.coefficients)
            if abs(base_coefficient) < 1e-9:
                return weighted_sum(parts, self.coefficients)
            of_base = self._of_base(module)
            if of_base.shape != parts[0].shape:
                raise BadRequest(
                    f"{module} is {list(parts[0].shape)} in the adapters and {list(of_base.shape)} in the base, which "
                    "lacks tokens that were added in training; allowed: merges without the base (weights that sum to 1)"
                )
            return weighted_sum([*parts, of_base], [*self.coefficients, base_coefficient])
        scales = [scale for _, scale in self._scales(module)]
        if self.adapters[0].config.get("use_dora"):
            return self._dora(kind, module, scales)
        factors = [c * s for c, s in zip(self.coefficients, scales, strict=True)]
        if kind == "bias":
            return weighted_sum(parts, factors)
        return stacked_up([*parts, *(up for _, up, _ in moved)], [*factors, *(-c for c, _, _ in moved)])

    def _of_base(self, module: str) -> Tensor:
        """The base's values of a tensor that adapters hold whole: a matrix, a bias, or some rows of an embedding."""
        layer, separator, _ = module.rpartition(_TOKEN_ROWS)
        if not separator:
            return self._whole_of_base(module.replace(".base_layer.", "."))
        indices = self.adapters[-1].config.get("trainable_token_indices")
        if isinstance(indices, dict):
            indices = next(rows for name, rows in indices.items() if layer.endswith(name))
        return upcast(self.base().read(f"{layer}.weight"))[list(indices or [])]  # [vocab width] -> [rows width]

    def _whole_of_base(self, name: str) -> Tensor:
        base = self.base()
        # A base that ties its output layer to the embedding stores the embedding alone.
        tied = next((other for other in base.entries if other.endswith(_EMBEDDINGS)), name)
        return upcast(base.read(tied if name == _HEAD and name not in base.entries else name))

    def _scales(self, module: str) -> list[tuple[int, float]]:
        """Rank and scale of each source, in one module."""
        down = self.modules[module]["down"]
        ranks = [source.entries[down].shape[0] for source in self.sources]
        return [(rank, adapter.scale(module, rank)) for adapter, rank in zip(self.adapters, ranks, strict=True)]

    def moved_coefficients(self, module: str) -> dict[tuple[str, int, float], float]:
        """(initialisation, rank, scale) -> summed coefficient of the sources that moved this part of the base."""
        parts: dict[tuple[str, int, float], float] = {}
        for adapter, (rank, scale), c in zip(self.adapters, self._scales(module), self.coefficients, strict=True):
            if adapter.moved_init is not None:
                part = (adapter.moved_init, rank, scale)
                parts[part] = parts.get(part, 0.0) + c
        return parts

    def _moved_parts(self, module: str) -> list[tuple[float, Tensor, Tensor]]:
        """(coefficient, up, down) of every part that was moved out of the base."""
        if module not in self.moved_cache:
            self.moved_cache.clear()
            self.moved_cache[module] = []
            if parts := self.moved_coefficients(module):
                weight = upcast(self.base().read(f"{module}.weight"))
                matrix = weight.t() if self.adapters[0].config.get("fan_in_fan_out") else weight
                self.moved_cache[module] = [(c, *moved_part(matrix, *part)) for part, c in parts.items()]
        return self.moved_cache[module]

    def _dora(self, kind: str, module: str, scales: Sequence[float]) -> Tensor:
        if kind == "bias" or "embedding" in self.modules[module]["down"]:
            raise BadRequest(f"{module}: DoRA on an embedding, or with its own bias, cannot be merged")
        values = {k: [upcast(source.read(name)) for source in self.sources] for k, name in self.modules[module].items()}
        combined = combined_dora(
            upcast(self.base().read(f"{module}.weight")),
            values["down"],
            values["up"],
            values["magnitude"],
            scales,
            self.coefficients,
            fan_in_fan_out=bool(self.adapters[0].config.get("fan_in_fan_out")),
        )
        return combined.up if kind == "up" else combined.magnitude
