"""From the options of a merge to its tensors: the rule with its weights bound, and the open weight files."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from overmem.errors import BadCheckpoint, BadRequest
from overmem.merging.adapters import read_adapter
from overmem.merging.at_rank import product_at_rank, updates_at_rank
from overmem.merging.blend import Blend, blend_adapters, blend_full
from overmem.merging.options import Merge
from overmem.merging.weights import Weights, model_folder, open_weights
from overmem.models.discovery import CheckpointRef
from overmem.models.files import json_object
from overmem.rules import LINEAR, NEEDS_BASE, RULES
from overmem.rules.weighting import source_weights
from overmem.seeds import seed_of
from overmem.tables import checked_knobs, knobs, resolve

BoundRule = Callable[[dict[str, Any], Sequence[Tensor], Tensor | None], Tensor]
"""(extra knobs, tensors, base) -> tensor."""
Combine = Callable[[str, Sequence[Tensor], Tensor | None], Tensor]
"""(name, tensors, base) -> tensor."""


def bound_rule(config: Merge) -> BoundRule:
    """The rule with its weights bound: (extra knobs, tensors, base) -> tensor.

    Raises:
        BadRequest: an unknown rule or knob.
    """
    function = resolve(RULES, config.rule, "rule")
    bound_weights: dict[str, Any] = {} if config.weights is None else {"weights": list(config.weights)}
    checked_knobs(function, {**config.knobs, **bound_weights}, "rule")

    def bound(extra_knobs: dict[str, Any], tensors: Sequence[Tensor], base: Tensor | None) -> Tensor:
        if "seed" in extra_knobs:
            extra_knobs = {**extra_knobs, "seed": int(extra_knobs["seed"])}
        merged: Tensor = function(tensors, base, **bound_weights, **extra_knobs)
        return merged

    return bound


def uses_base(rule: str) -> bool:
    """Whether the rule is passed the base's weights if they are known: rules that need them, and user-defined rules."""
    return rule in NEEDS_BASE or rule not in RULES


def opened_blend(
    config: Merge,
    rule: BoundRule,
    sources: Sequence[CheckpointRef],
    base: CheckpointRef | None,
    stack: ExitStack,
) -> Blend:
    """The tensors of a merge, computed one at a time from weight files that `stack` closes.

    Args:
        config: what to merge, and how.
        rule: the rule with its weights bound.
        sources: the checkpoints to merge.
        base: the base model; None if unknown.
        stack: closes the files.

    Raises:
        BadRequest: the base is needed and not known, or adapters of different settings.
        BadCheckpoint: weights that are pickled, truncated, quantized, or of a different shape than the others.
    """
    dtype = None if config.dtype == "source" else getattr(torch, config.dtype)

    @cache
    def base_weights() -> Weights:
        if base is None:
            raise BadRequest("this merge needs the base model's weights, and the base is not known; give --base")
        return stack.enter_context(open_weights(model_folder(base.path)))

    def combine(name: str, tensors: Sequence[Tensor], base_tensor: Tensor | None) -> Tensor:
        extra_knobs = dict(config.knobs)
        if "seed" in knobs(resolve(RULES, config.rule, "rule")):
            extra_knobs["seed"] = seed_of(extra_knobs.get("seed", 0), "merge", name)
        return rule(extra_knobs, tensors, base_tensor)

    if any(source.is_adapter for source in sources):
        return _opened_adapters(config, rule, combine, sources, base_weights, stack)
    if config.rank is not None:
        raise BadRequest("--rank is for LoRA adapters; these checkpoints have full weights")
    folders = [model_folder(source.path) for source in sources]
    for folder in folders:
        if "quantization_config" in read_config(folder):
            raise BadCheckpoint(f"{folder} holds quantized weights, which cannot be averaged; dequantize them first")

    opened = [base_weights() if ref is base else stack.enter_context(open_weights(Path(ref.path))) for ref in sources]
    tied = bool(read_config(folders[-1]).get("tie_word_embeddings"))
    base_tensors = base_weights() if base is not None and uses_base(config.rule) else None
    coefficients = None
    if config.rule == "linear":
        coefficients = source_weights(config.weights, len(opened), rule="linear", sum_to_one=True)
    return blend_full(opened, base_tensors, combine, dtype=dtype, tied=tied, coefficients=coefficients)


def _opened_adapters(
    config: Merge,
    rule: BoundRule,
    combine: Combine,
    sources: Sequence[CheckpointRef],
    base_weights: Callable[[], Weights],
    stack: ExitStack,
) -> Blend:
    """Adapters, and perhaps the base, as one adapter: the exact sum of their updates, or any rule at a chosen rank.

    Args:
        config: what to merge, and how.
        rule: the rule with its weights bound.
        combine: the rule for one tensor, with its seed.
        sources: the checkpoints to merge.
        base_weights: opens the base model.
        stack: closes the files.
    """
    dtype = None if config.dtype == "source" else getattr(torch, config.dtype)
    folders = [Path(source.path) for source in sources if source.is_adapter]
    adapters = [read_adapter(folder) for folder in folders]
    weights = [stack.enter_context(open_weights(folder)) for folder in folders]
    if config.rule not in LINEAR:
        if config.rank is None:
            raise BadRequest(f"rule {config.rule!r} merges adapters at a chosen --rank only")
        return updates_at_rank(adapters, weights, combine, config.rank, base=base_weights, dtype=dtype)
    # Applied to unit vectors, a linear rule returns its coefficients. The base's Delta W is 0.
    merged = rule(
        dict(config.knobs), list(torch.eye(len(sources), dtype=torch.float64)), torch.zeros(len(sources)).double()
    )
    coefficients = [float(c) for c, source in zip(merged, sources, strict=True) if source.is_adapter]
    if config.rank is None:
        return blend_adapters(adapters, weights, coefficients, base_weights, dtype=dtype)
    exact = blend_adapters(adapters, weights, coefficients, base_weights, dtype=torch.float32)
    return product_at_rank(exact, weights[-1], config.rank, dtype)


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration in a folder; empty if it has none.

    Raises:
        BadCheckpoint: it cannot be read.
    """
    path = folder / "config.json"
    try:
        return json_object(path) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"{path} cannot be read: {error}") from error
