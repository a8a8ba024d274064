"""The output layer of a causal language model, in the few forms that architectures give it."""

from dataclasses import dataclass
from typing import Any

import torch
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


def logits_of(head: Head, rows: Float[Tensor, "m hidden"]) -> Float[Tensor, "m vocab"]:
    """The logits of some rows, at least in float32."""
    if rows.is_cuda and rows.dtype in (torch.bfloat16, torch.float16):
        logits = torch.mm(rows, head.weight.t(), out_dtype=torch.float32)
    else:
        logits = rows @ head.weight.t()
        logits = logits if logits.dtype == torch.float64 else logits.float()
    if head.bias is not None:
        logits.add_(head.bias)
    if head.scale != 1.0:
        logits.mul_(head.scale)
    if head.softcap is not None:
        logits.div_(head.softcap).tanh_().mul_(head.softcap)
    return logits


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


def check_head(model: nn.Module) -> None:
    """Compare the output layer as it is understood here with the model's own logits, on three tokens.

    Raises:
        BadRequest: they differ: the architecture does something more to its logits, and a loss would be wrong.
    """
    inner: Any = model
    head, was_training = head_of(inner), inner.training
    if inner.base_model is inner:
        raise BadRequest(f"{type(inner).__name__} has no backbone apart from its output layer")
    if head.weight.device.type == "meta":
        return
    ids = torch.arange(1, 4, device=inner.get_input_embeddings().weight.device)[None]
    inner.eval()
    try:
        with torch.no_grad():
            theirs = inner(input_ids=ids, use_cache=False).logits[0].float()
            state = inner.base_model(input_ids=ids, use_cache=False).last_hidden_state[0]
            ours = logits_of(head, state.to(head.weight)).float()
    finally:
        inner.train(was_training)
    tolerance = 1e-3 if head.weight.dtype in (torch.float32, torch.float64) else 3e-2
    if (ours - theirs.to(ours.device)).abs().max() > tolerance * (1 + theirs.abs().max()):
        raise BadRequest(
            f"the logits of {type(inner).__name__} are not hidden states times its output matrix; overmem "
            "knows a scale and a soft cap, and would train this one on a wrong loss"
        )


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
    """The matrix of an output layer; with LoRA on it, the matrix that the two make together."""
    if hasattr(layer, "get_delta_weight") and hasattr(layer, "get_base_layer"):
        return _with_adapters(layer)
    weight: Any = layer.weight
    if hasattr(weight, "ds_id") and weight.numel() == 0:
        raise BadRequest("DeepSpeed ZeRO-3 has taken the output matrix apart: use ZeRO-2, or FSDP2")
    if not isinstance(weight, Tensor) or weight.dim() != 2 or not weight.is_floating_point():
        raise BadRequest(f"the output layer ({type(layer).__name__}) is no floating-point matrix: leave it unquantised")
    whole: Tensor = weight.full_tensor() if hasattr(weight, "full_tensor") else weight
    return whole


def _with_adapters(layer: Any) -> Tensor:
    """Base matrix plus the active adapters' low-rank products, differentiable for the adapters."""
    matrix = _weight(layer.get_base_layer())
    if layer.merged or layer.disable_adapters:
        return matrix
    for name in layer.active_adapters:
        if name not in layer.lora_A:
            continue
        if getattr(layer.lora_dropout[name], "p", 0.0) > 0 and layer.training:
            raise BadRequest("LoRA with dropout on the output layer: set lora_dropout to 0 or leave lm_head out")
        if name in getattr(layer, "lora_variant", {}):
            raise BadRequest("DoRA or another LoRA variant on the output layer: leave lm_head out of target_modules")
        matrix = matrix + layer.get_delta_weight(name)
    return matrix


def base_of(model: nn.Module) -> nn.Module:
    """The transformers model beneath DDP, DeepSpeed, torch.compile and PEFT."""
    from accelerate.utils import extract_model_from_parallel  # type: ignore[import-untyped]

    inner: Any = extract_model_from_parallel(model, keep_fp32_wrapper=True)
    found: nn.Module = inner.get_base_model() if hasattr(inner, "get_base_model") else inner
    return found
