"""LoRA adapters combined exactly: each adapter's weight update Delta W is summed, never its A and B.

Delta W is s B A. The sum of updates sum_i c_i s_i B_i A_i is one adapter: its A is all A_i stacked, its B is all
c_i s_i B_i concatenated by columns, its rank is the sum of the ranks, its scale is 1, and nothing is lost. (Averaging A
and B instead multiplies one checkpoint's B with another's A.)

DoRA's weight is W_i = g_i (W + s_i B_i A_i), with one factor g_i = m_i / |W + s_i B_i A_i| per row. So
sum_i c_i W_i = G (W + sum_i (c_i g_i / G) s_i B_i A_i) with G = sum_i c_i g_i: exactly a DoRA adapter
again, if the base's weights are available.

PiSSA and OLoRA move a part P of the base's weights into the adapter when it is created, and whenever it is loaded: the
weight is W - P + s B A. The sum is written as plain LoRA, with -P as additional columns of B and rows of A.
"""

import math
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from overmem.errors import BadCheckpoint, BadRequest
from overmem.models.files import KEEPS_BASE, json_object

CONFIG = "adapter_config.json"
_PEFT_PREFIX = "base_model.model."
"""The prefix that PEFT puts before the base model's module names."""
_A_SUFFIXES = (".lora_A.weight", ".lora_embedding_A")
_B_SUFFIXES = (".lora_B.weight", ".lora_embedding_B")
_BIAS_SUFFIX = ".lora_B.bias"
_MAGNITUDE_SUFFIXES = (".lora_magnitude_vector", ".lora_magnitude_vector.weight")
_MOVES_BASE = ("pissa", "olora")
"""Initialisations that move a part of the base's weights into the adapter, by a deterministic decomposition."""
_UNSUPPORTED_VARIANTS = (
    "target_parameters",
    "use_qalora",
    "use_bdlora",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
)
"""LoRA variants whose Delta W is not s B A, or that store A and B in another layout."""
_TYPES = {
    "peft_type": (str,),
    "lora_alpha": (float, int),
    "alpha_pattern": (dict,),
    "init_lora_weights": (str, bool),
    "modules_to_save": (list, str),
}
"""Settings that are used here -> their types."""
_MUST_MATCH = (
    "base_model_name_or_path",
    "bias",
    "use_dora",
    "lora_bias",
    "fan_in_fan_out",
    "modules_to_save",
    "layer_replication",
    "trainable_token_indices",
    "alora_invocation_tokens",
)
"""Settings that must be equal in all sources."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter's settings."""

    folder: Path
    config: Mapping[str, Any]

    def scale(self, module: str, rank: int) -> float:
        """The factor s in a module's Delta W = s B A."""
        alpha = self.config["lora_alpha"]
        if patterns := self.config.get("alpha_pattern"):
            from peft.utils.other import get_pattern_key  # a second of imports, which most adapters do not need

            alpha = patterns.get(get_pattern_key(list(patterns), module), alpha)
        return float(alpha / math.sqrt(rank) if self.config.get("use_rslora") else alpha / rank)

    @property
    def moved_init(self) -> str | None:
        """The initialisation, if it moved a part of the base's weights into the adapter; else None."""
        init = self.config.get("init_lora_weights")
        return init if init in _MOVES_BASE else None


def read_adapter(folder: Path) -> Adapter:
    """Read the adapter in `folder` and check that its kind can be combined.

    Raises:
        BadCheckpoint: its settings cannot be read.
        BadRequest: it is not LoRA, or a kind of LoRA that cannot be combined; the message says why.
    """
    path = folder / CONFIG
    try:
        config = json_object(path)
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"{path} cannot be read: {error}") from error
    for name, allowed in _TYPES.items():
        if config.get(name) is not None and not isinstance(config[name], allowed):
            raise BadCheckpoint(f"{path}: {name} is {reprlib.repr(config[name])}, which is no {allowed[0].__name__}")
    if config.get("peft_type") == "LORA" and config.get("lora_alpha") is None:
        raise BadCheckpoint(f"{path} lacks lora_alpha")
    if config.get("peft_type") != "LORA":
        raise BadRequest(f"{folder} is an adapter of type {config.get('peft_type')}; only LORA adapters can be merged")
    if used := [name for name in _UNSUPPORTED_VARIANTS if config.get(name)]:
        raise BadRequest(f"{folder} uses {', '.join(used)}: its weight update is not s B A, so it cannot be merged")
    init = config.get("init_lora_weights", True)
    if init not in KEEPS_BASE and (init not in _MOVES_BASE or config.get("use_dora")):
        raise BadRequest(
            f"{folder} was initialised with init_lora_weights={init!r}, which changes the base's weights when it is "
            "loaded; convert it to plain LoRA first: model.save_pretrained(folder, "
            "path_initial_model_for_weight_conversion=<adapter saved before training>)"
        )
    return Adapter(folder, config)


def check_compatible(adapters: Sequence[Adapter]) -> None:
    """Refuse adapters of different base models or settings.

    Raises:
        BadRequest: they differ; the message names the setting.
    """
    first = adapters[0]
    for other in adapters[1:]:
        for name in _MUST_MATCH:
            ours, theirs = first.config.get(name) or None, other.config.get(name) or None
            if _unordered(ours) != _unordered(theirs):
                raise BadRequest(
                    f"the adapters differ in {name}: {ours!r} in {first.folder}, {theirs!r} in {other.folder}"
                )


def _unordered(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else value


def role(name: str) -> tuple[str, str]:
    """An adapter tensor's role and its module in the base.

    Roles: `down` (A), `up` (B), `bias`, `magnitude`, and `whole` (a tensor of the base, trained in full).
    """
    inner = name.removeprefix(_PEFT_PREFIX)
    for kind, endings in (
        ("down", _A_SUFFIXES),
        ("up", _B_SUFFIXES),
        ("bias", (_BIAS_SUFFIX,)),
        ("magnitude", _MAGNITUDE_SUFFIXES),
    ):
        for ending in endings:
            if inner.endswith(ending):
                return kind, inner.removesuffix(ending)
    return "whole", inner


def stacked_down(parts: Sequence[Float[Tensor, "_ inputs"]]) -> Float[Tensor, "rank inputs"]:
    """A of the summed adapter: all A stacked by rows."""
    return torch.cat(list(parts), dim=0)  # k x [rank_i in] -> [sum rank_i in]


def stacked_up(parts: Sequence[Float[Tensor, "outputs _"]], scales: Sequence[float]) -> Float[Tensor, "outputs rank"]:
    """B of the summed adapter: every B times its coefficient and scale, concatenated by columns."""
    scaled = [part * scale for part, scale in zip(parts, scales, strict=True)]
    return torch.cat(scaled, dim=1)  # k x [out rank_i] -> [out sum rank_i]


def moved_part(
    weight: Float[Tensor, "outputs inputs"], init: str, rank: int, scale: float
) -> tuple[Float[Tensor, "outputs rank"], Float[Tensor, "rank inputs"]]:
    """(up, down) whose product is the part that an initialisation moves out of the base's matrix.

    Args:
        weight: the base's matrix [out in], in float32.
        init: `pissa` (its largest singular directions) or `olora` (the first columns of its QR decomposition).
        rank: the adapter's rank.
        scale: the adapter's scale s.
    """
    if init == "pissa":
        left, singular_values, right = torch.linalg.svd(weight, full_matrices=False)
        return left[:, :rank] * singular_values[:rank], right[:rank]
    left, right = torch.linalg.qr(weight)
    return left[:, :rank] * scale, right[:rank]


@dataclass(frozen=True)
class Dora:
    """B and magnitude of the sum of DoRA adapters, for one module."""

    up: Float[Tensor, "outputs rank"]
    magnitude: Float[Tensor, "..."]


def combined_dora(
    weight: Float[Tensor, "rows columns"],
    downs: Sequence[Float[Tensor, "_ inputs"]],
    ups: Sequence[Float[Tensor, "outputs _"]],
    magnitudes: Sequence[Float[Tensor, "..."]],
    scales: Sequence[float],
    coefficients: Sequence[float],
    *,
    fan_in_fan_out: bool = False,
) -> Dora:
    """B and magnitude of sum_i c_i W_i + (1 - sum_i c_i) W; its A is `stacked_down(downs)`.

    Args:
        weight: the base's matrix, [out in] ([in out] with fan_in_fan_out).
        downs: A of each adapter, [rank in].
        ups: B of each adapter, [out rank].
        magnitudes: m of each adapter, one number per output.
        scales: s of each adapter.
        coefficients: c of each adapter.
        fan_in_fan_out: whether the base's matrix is stored transposed.

    Raises:
        BadRequest: the summed factor G is 0 for some output, so that no DoRA adapter equals the sum.
    """
    matrix = weight.t() if fan_in_fan_out else weight
    factors: list[Tensor] = []  # c_i g_i, each [out]
    for down, up, magnitude, scale, c in zip(downs, ups, magnitudes, scales, coefficients, strict=True):
        norm = torch.linalg.vector_norm(matrix + scale * (up @ down), dim=1)  # [out in] -> [out]
        factors.append(c * magnitude.flatten() / norm)
    total = torch.stack(factors).sum(0) + (1.0 - sum(coefficients))  # [sources out] -> [out]
    if bool((total == 0).any()):
        raise BadRequest("the DoRA magnitudes cancel under these weights; allowed: weights above 0")
    columns = [up * (scale * factor / total)[:, None] for up, scale, factor in zip(ups, scales, factors, strict=True)]
    up = torch.cat(columns, dim=1)  # k x [out rank_i] -> [out sum rank_i]
    norm = torch.linalg.vector_norm(matrix + up @ stacked_down(downs), dim=1)
    return Dora(up, (total * norm).reshape(magnitudes[0].shape))


def merged_config(last: Adapter, ranks: Mapping[str, int]) -> dict[str, Any]:
    """The settings of the summed adapter: those of its last source, with the new ranks and scale 1 in every module.

    Args:
        last: the last source.
        ranks: rank by module.
    """
    counts: dict[int, int] = {}
    for rank in ranks.values():
        counts[rank] = counts.get(rank, 0) + 1
    most_common = max(counts, key=lambda rank: (counts[rank], rank))
    rank_pattern = {f"^{module.replace('.', '[.]')}": rank for module, rank in ranks.items() if rank != most_common}
    return {
        **last.config,
        "r": most_common,
        "lora_alpha": most_common,
        "rank_pattern": rank_pattern,
        "alpha_pattern": dict(rank_pattern),
        "use_rslora": False,
        "init_lora_weights": True,
    }


def factor_names(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Module -> the names of its matrices, by `down` and `up`."""
    modules: dict[str, dict[str, str]] = {}
    for name in names:
        kind, module = role(name)
        if kind in ("down", "up"):
            modules.setdefault(module, {})[kind] = name
    return modules
