"""Weights that are in no file: their tensors are computed one at a time while they are copied into a model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from overmem.errors import BadCheckpoint
from overmem.models.discovery import CheckpointRef


@dataclass(frozen=True)
class UnsavedWeights:
    """The tensors that a checkpoint folder would hold, under the names that they would have in its files."""

    like: CheckpointRef
    """A checkpoint of the same architecture: its configuration is used."""
    shapes: Mapping[str, tuple[int, ...]]
    """Shape of every tensor."""
    tensor: Callable[[str], Tensor]
    """Computes a tensor from its name."""
    adapter_config: Mapping[str, Any] | None = None
    """Settings of an adapter; None for full weights."""


@torch.no_grad()
def copy_into(model: Any, weights: UnsavedWeights) -> None:
    """Copy full weights into a model whose tensors have the same names, one tensor at a time."""
    targets = model.state_dict()
    for name in weights.shapes:
        targets[name].copy_(weights.tensor(name))


def loaded(weights: UnsavedWeights, dtype: torch.dtype) -> Any:
    """A new model with full weights. All of them are in memory at once: for files whose names transformers converts.

    Raises:
        BadCheckpoint: weights that the architecture needs are missing.
    """
    from transformers import AutoConfig

    from overmem.models.auto import auto_class

    model, info = auto_class(weights.like.path).from_pretrained(
        None,
        config=AutoConfig.from_pretrained(weights.like.path, trust_remote_code=False),
        state_dict={name: weights.tensor(name) for name in weights.shapes},
        dtype=dtype,
        output_loading_info=True,
        trust_remote_code=False,
    )
    if info["missing_keys"]:
        raise BadCheckpoint(f"a merge lacks weights: {', '.join(sorted(info['missing_keys'])[:5])}")
    return model


def with_adapter(base: Any, weights: UnsavedWeights) -> Any:
    """PEFT's model with an adapter of these weights, as `PeftModel.from_pretrained` makes it from a folder.

    Raises:
        BadCheckpoint: tensors of the adapter are missing.
    """
    from peft import PeftConfig, PeftModelForCausalLM, get_peft_model_state_dict, set_peft_model_state_dict

    settings = {**(weights.adapter_config or {}), "inference_mode": True}
    config: Any = PeftConfig
    model: Any = PeftModelForCausalLM(base, config.from_peft_type(**settings))
    expected = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    if missing := sorted(expected - set(weights.shapes)):
        raise BadCheckpoint(f"a merge of adapters lacks weights: {', '.join(missing[:5])}")
    tensors = {name: weights.tensor(name).to(base.device) for name in weights.shapes}
    set_peft_model_state_dict(model, tensors)
    return model
