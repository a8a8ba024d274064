"""The output layer of a causal language model: its matrix, bias, scale and soft cap."""

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from overmem.errors import BadRequest

_IS_PLAIN: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


@dataclass(frozen=True)
class Head:
    """The output layer: logits = softcap(scale (hidden weight^T + bias))."""

    weight: Float[Tensor, "vocab hidden"]
    bias: Float[Tensor, " vocab"] | None = None
    softcap: float | None = None
    scale: float = 1.0


def logits_of(head: Head, hidden_rows: Float[Tensor, "m hidden"]) -> Float[Tensor, "m vocab"]:
    """The logits of some rows of hidden states, in float32 or float64."""
    if hidden_rows.is_cuda and hidden_rows.dtype in (torch.bfloat16, torch.float16):
        logits = torch.mm(hidden_rows, head.weight.t(), out_dtype=torch.float32)
    else:
        logits = hidden_rows @ head.weight.t()
        logits = logits if logits.dtype == torch.float64 else logits.float()
    if head.bias is not None:
        logits.add_(head.bias)
    if head.scale != 1.0:
        logits.mul_(head.scale)
    if head.softcap is not None:
        logits.div_(head.softcap).tanh_().mul_(head.softcap)
    return logits


def head_of(model: nn.Module) -> Head:
    """The output layer of a transformers causal language model, with or without PEFT; gradients flow through it.

    Raises:
        BadRequest: the layer is not a plain matrix product.
    """
    layer: Any = model.get_output_embeddings()  # type: ignore[operator]
    if layer is None:
        raise BadRequest(f"{type(model).__name__} has no output embeddings: it is not a causal language model")
    config = model.config.get_text_config()  # type: ignore[union-attr, operator]
    softcap = getattr(config, "final_logit_softcapping", None) or getattr(config, "logits_soft_cap", None)
    return Head(_weight(layer), getattr(layer, "bias", None), softcap, _scale(config))


def check_head(model: nn.Module) -> None:
    """Check that the logits of `head_of` equal the model's own, on three tokens.

    Raises:
        BadRequest: they differ, because the architecture transforms its logits in an unknown way.
    """
    inner: Any = model
    head, was_training = head_of(inner), inner.training
    if inner.base_model is inner:
        raise BadRequest(f"{type(inner).__name__} has no backbone separate from its output layer")
    if head.weight.device.type == "meta":
        return
    ids = torch.arange(1, 4, device=inner.get_input_embeddings().weight.device)[None]
    inner.eval()
    try:
        with torch.no_grad():
            expected = inner(input_ids=ids, use_cache=False).logits[0].float()
            hidden = inner.base_model(input_ids=ids, use_cache=False).last_hidden_state[0]
            logits = logits_of(head, hidden.to(head.weight)).float()
    finally:
        inner.train(was_training)
    tolerance = 1e-3 if head.weight.dtype in (torch.float32, torch.float64) else 3e-2
    if (logits - expected.to(logits.device)).abs().max() > tolerance * (1 + expected.abs().max()):
        raise BadRequest(
            f"the logits of {type(inner).__name__} are not hidden states times its output matrix; only a bias, a scale "
            "and a soft cap are supported"
        )


def has_plain_head(model: nn.Module) -> bool:
    """Whether `head_of` gives the model's logits; checked once per model in memory.

    If not (a layer in between, logits scaled in an unknown way), the caller has to use the model's own logits.
    """
    inner = base_of(model)
    if inner not in _IS_PLAIN:
        try:
            check_head(inner)
            _IS_PLAIN[inner] = True
        except (BadRequest, AttributeError, TypeError):
            _IS_PLAIN[inner] = False
    return _IS_PLAIN[inner]


def _scale(config: Any) -> float:
    """The factor on the logits: 1 for most architectures; Cohere and Falcon-H1 multiply by it, Granite divides."""
    for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"):
        if getattr(config, name, None) is not None:
            return float(getattr(config, name))
    scaling = getattr(config, "logits_scaling", None)
    if scaling is None:
        return 1.0
    return float(scaling) if config.model_type == "hyperclovax" else 1.0 / float(scaling)


def _weight(layer: Any) -> Tensor:
    """The matrix of an output layer, including its LoRA update if it has one."""
    if hasattr(layer, "get_delta_weight") and hasattr(layer, "get_base_layer"):
        return _with_adapters(layer)
    weight: Any = layer.weight
    if hasattr(weight, "ds_id") and weight.numel() == 0:
        raise BadRequest("DeepSpeed ZeRO-3 has partitioned the output matrix: use ZeRO-2, or FSDP2")
    if not isinstance(weight, Tensor) or weight.dim() != 2 or not weight.is_floating_point():
        raise BadRequest(
            f"the output layer ({type(layer).__name__}) is not a floating-point matrix: do not quantise it"
        )
    full: Tensor = weight.full_tensor() if hasattr(weight, "full_tensor") else weight
    return full


def _with_adapters(layer: Any) -> Tensor:
    """The base matrix plus the low-rank products of the active adapters, differentiable with respect to these."""
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
    """The transformers model inside DDP, DeepSpeed, torch.compile and PEFT wrappers."""
    from accelerate.utils import extract_model_from_parallel  # type: ignore[import-untyped]

    inner: Any = extract_model_from_parallel(model, keep_fp32_wrapper=True)
    base: nn.Module = inner.get_base_model() if hasattr(inner, "get_base_model") else inner
    return base
