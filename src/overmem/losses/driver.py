"""Any token loss on any causal language model, without materialising the logits of the whole batch.

The loss is computed inside the model's own forward call, so that wrappers (PEFT, DDP, FSDP, autocast,
torch.compile) see an ordinary forward pass.
"""

import functools
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers.utils.generic import ModelOutput

from overmem.errors import BadRequest
from overmem.losses.chunked import Result, chunked_loss
from overmem.losses.gate import IGNORED, TokenLoss, bound_knobs, trait
from overmem.models.head import Head, base_of, check_head, head_of

__all__ = [
    "IGNORED",
    "Head",
    "LossOutput",
    "Result",
    "TokenLoss",
    "attach",
    "chunked_loss",
    "head_of",
    "model_loss",
    "remaining_labels",
]


@dataclass
class LossOutput(ModelOutput):
    """What the forward call returns in place of logits; a ModelOutput, so that wrappers find its tensors."""

    loss_sum: Tensor | None = None
    nll: Tensor | None = None
    is_argmax: Tensor | None = None
    aux_loss: Tensor | None = None


@dataclass(frozen=True)
class _Request:
    """What the forward call should compute in place of logits."""

    loss: TokenLoss
    chunk: int | None
    reference_logprob: Float[Tensor, "batch time"] | None


def attach(model: nn.Module) -> None:
    """Make the model's forward call accept `overmem_request`; other calls are unchanged. Idempotent.

    Call it before accelerate prepares the model: mixed precision wraps the current forward call.

    Raises:
        BadRequest: accelerate has wrapped the model already, or overmem does not know its kind of output layer.
    """
    inner: Any = base_of(model)
    if getattr(inner, "overmem_attached", False):
        return
    if "_original_forward" in inner.__dict__:
        raise BadRequest("overmem.losses.driver.attach must be called before accelerate prepares the model")
    check_head(inner)
    patched = inner.__dict__.get("forward")

    @functools.wraps(type(inner).forward)
    def forward(self: Any, *args: Any, overmem_request: _Request | None = None, **kwargs: Any) -> Any:
        if overmem_request is not None:
            return _forward_loss(self, overmem_request, *args, **kwargs)
        # Through the class, not a closure over this model, so that a deep copy uses its own weights.
        return patched(*args, **kwargs) if patched is not None else type(self).forward(self, *args, **kwargs)

    inner.forward = types.MethodType(forward, inner)
    inner.overmem_attached = True


def _forward_loss(model: Any, request: _Request, *args: Any, labels: Tensor, **kwargs: Any) -> LossOutput:
    """The chunked loss of the backbone's hidden states at the trained positions."""
    outputs = model.base_model(*args, **{**kwargs, "use_cache": False})
    states: Tensor = outputs.last_hidden_state[:, :-1]  # [batch time hidden] -> [batch time-1 hidden]
    targets = labels[:, 1:].to(states.device)
    trained: Bool[Tensor, "batch time_minus_1"] = targets != IGNORED
    head = head_of(model)
    reference = request.reference_logprob
    result = chunked_loss(
        states[trained].to(head.weight.device),  # [batch time-1 hidden] -> [n hidden]
        head.weight,
        targets[trained].to(head.weight.device),
        request.loss,
        bias=head.bias,
        softcap=head.softcap,
        scale=head.scale,
        chunk=request.chunk,
        reference_logprob=None
        if reference is None
        else _right_aligned(reference, trained)[trained].to(head.weight.device),
    )
    router = _router_loss(model, outputs, kwargs.get("attention_mask"))
    return LossOutput(loss_sum=result.loss_sum, nll=result.nll, is_argmax=result.is_argmax, aux_loss=router)


def _right_aligned(
    reference: Float[Tensor, "batch time"], trained: Bool[Tensor, "batch width"]
) -> Float[Tensor, "batch width"]:
    """The reference padded on the left to the width of `trained`, which counts the virtual tokens of a soft prompt."""
    width, time = trained.shape[1], reference.shape[1] - 1
    return nn.functional.pad(reference[:, 1:].to(trained.device), (width - time, 0))  # [batch time] -> [batch width]


def _router_loss(model: Any, outputs: Any, attention_mask: Tensor | None) -> Tensor | None:
    """The weighted load-balancing loss of a mixture of experts, by the model's own code; None if it is off."""
    config = model.config.get_text_config()
    if not getattr(config, "output_router_logits", False) or getattr(outputs, "router_logits", None) is None:
        return None
    balance: Any = sys.modules[type(model).__module__].load_balancing_loss_func
    loss: Tensor = balance(outputs.router_logits, model.num_experts, model.num_experts_per_tok, attention_mask)
    weighted: Tensor = model.router_aux_loss_coef * loss
    return weighted


def model_loss(
    model: nn.Module,
    batch: Mapping[str, Any],
    loss: TokenLoss,
    *,
    denominator: int | float | Tensor | None = None,
    router_share: float = 1.0,
    chunk: int | None = None,
) -> tuple[Float[Tensor, ""], Result]:
    """The loss of a batch, differentiable, and the training dynamics of the same pass.

    A mixture of experts that is configured to return its router logits adds its load-balancing loss, as its own forward
    call does: a mean over this batch, scaled by `router_share` and not by `denominator`.

    Args:
        model: a transformers causal language model, also inside PEFT, DDP, FSDP or torch.compile.
        batch: input_ids, attention_mask, labels (-100: ignored) and the backbone's other inputs, each [batch time];
            `reference_logprob` where the loss needs it: position t holds the base model's log probability of token t.
        loss: a token loss, its knobs bound by functools.partial.
        denominator: what the summed loss is divided by. The trained tokens of the whole optimizer step make gradient
            accumulation exact; None stands for the trained tokens of this batch.
        router_share: factor on the load-balancing loss: 1 / (batches per optimizer step).
        chunk: rows of logits in memory at a time; None for a fixed memory budget.
    """
    attach(model)
    inputs = dict(batch)
    reference = inputs.pop("reference_logprob", None)
    if trait(loss, "relabel") is not None:
        inputs["labels"] = remaining_labels(inputs, loss)
    if trait(loss, "needs_reference") and reference is None:
        raise BadRequest("this loss needs `reference_logprob` in the batch: the base model's, computed before training")
    output = model(**inputs, overmem_request=_Request(loss, chunk, reference))
    result = Result(output.loss_sum, output.nll, output.is_argmax)
    count = max(result.tokens, 1) if denominator is None else denominator
    total = torch.as_tensor(count, device=result.loss_sum.device).clamp(min=1)
    value = result.loss_sum / total
    return value if output.aux_loss is None else value + router_share * output.aux_loss.to(value), result


def remaining_labels(batch: Mapping[str, Any], loss: TokenLoss) -> Int[Tensor, "batch time"]:
    """The labels that a loss trains on: all of them, unless the loss removes some. Idempotent."""
    labels: Tensor = batch["labels"]
    relabel = trait(loss, "relabel")
    if relabel is None:
        return labels
    positions = {name: batch.get(name) for name in ("attention_mask", "position_ids")}
    remaining: Tensor = relabel(batch["input_ids"], labels, **positions, **bound_knobs(loss))
    return remaining
