"""The output layer of a causal language model, in the few forms that architectures give it."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from overmem.errors import BadRequest


@dataclass(frozen=True)
class Head:
    """The output layer: logits = softcap(scale (hidden weight^T + bias))."""

    weight: Float[Tensor, "vocab hidden"]
    bias: Float[Tensor, " vocab"] | None = None
    softcap: float | None = None
    scale: float = 1.0


def head_of(model: nn.Module) -> Head:
    """The output layer of a transformers causal language model (PEFT wrappers taken off), with its gradient.

    Raises:
        BadRequest: the layer is not one matrix product that can be read.
    """
    layer: Any = model.get_output_embeddings()  # type: ignore[operator]
    if layer is None:
        raise BadRequest(f"{type(model).__name__} has no output embeddings: it is not a causal language model")
    config = model.config.get_text_config()  # type: ignore[union-attr, operator]
    softcap = getattr(config, "final_logit_softcapping", None) or getattr(config, "logits_soft_cap", None)
    return Head(_weight(layer), getattr(layer, "bias", None), softcap, _scale(config))


def _scale(config: Any) -> float:
    """The factor that the architecture puts on its logits: most none, Cohere and Falcon-H1 times, Granite divided."""
    for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"):
        if getattr(config, name, None) is not None:
            return float(getattr(config, name))
    scaling = getattr(config, "logits_scaling", None)
    if scaling is None:
        return 1.0
    return float(scaling) if config.model_type == "hyperclovax" else 1.0 / float(scaling)


def _weight(layer: Any) -> Tensor:
    """The matrix of an output layer; with an adapter on it, the matrix that the two make together."""
    weight: Any = layer.weight
    if hasattr(layer, "get_base_layer"):
        raise BadRequest("an adapter on the output layer is not supported yet: take lm_head out of target_modules")
    if not weight.is_floating_point():
        raise BadRequest(f"the output layer is quantised ({weight.dtype}): keep lm_head in a floating-point type")
    whole: Tensor = weight.full_tensor() if hasattr(weight, "full_tensor") else weight
    return whole
