"""Any token loss from hidden states and the output matrix, without materialising the logits of the whole batch.

Logits are computed for a few rows at a time, turned into their gradient in place, multiplied back, and dropped. Memory
is bounded by a fixed number of logits, plus the gradients themselves. Computing the gradient in the forward pass takes
three matrix products in all; recomputing the logits in the backward pass would take four.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from overmem.losses.gate import TokenLoss, Tokens, bound_knobs, label_logprob, reads_reference, trait
from overmem.models.head import Head, logits_of

__all__ = ["Result", "chunk_rows", "chunked_loss", "logits_of"]

LOGITS_ON_CPU = 2**24
LOGITS_ON_DEVICE = 2**27
"""Logits in memory at a time if `chunk` is None: 64 MiB in float32 on a CPU, 512 MiB on an accelerator."""


@dataclass(frozen=True)
class Result:
    """The summed loss, with its gradient, and the training dynamics of the same pass."""

    loss_sum: Float[Tensor, ""]
    """Differentiable; divide it by the number of tokens of the whole optimizer step."""
    nll: Float[Tensor, " n"]
    """Plain negative log-likelihood, whatever the loss is; detached."""
    is_argmax: Bool[Tensor, " n"]
    """No logit exceeds the label's."""

    @property
    def tokens(self) -> int:
        """Number of tokens that the loss was summed over."""
        return self.nll.shape[0]

    @property
    def nll_sum(self) -> Float[Tensor, ""]:
        """Summed plain negative log-likelihood, detached."""
        return self.nll.sum()

    @property
    def argmax_sum(self) -> Int[Tensor, ""]:
        """Number of tokens whose label is the most likely one."""
        return self.is_argmax.sum()

    @property
    def probability_sum(self) -> Float[Tensor, ""]:
        """Summed probability of the labels, detached."""
        return torch.exp(-self.nll).sum()


def chunk_rows(n: int, vocab: int, on_cpu: bool) -> int:
    """Rows of logits per chunk: as many as the budget allows, in chunks of nearly equal size."""
    max_rows = max(1, (LOGITS_ON_CPU if on_cpu else LOGITS_ON_DEVICE) // vocab)
    chunks = max(1, -(-n // max_rows))
    return max(1, -(-n // chunks))


def chunked_loss(
    hidden: Float[Tensor, "n hidden"],
    weight: Float[Tensor, "vocab hidden"],
    labels: Int[Tensor, " n"],
    loss: TokenLoss,
    *,
    bias: Float[Tensor, " vocab"] | None = None,
    softcap: float | None = None,
    scale: float = 1.0,
    chunk: int | None = None,
    reference_logprob: Float[Tensor, " n"] | None = None,
) -> Result:
    """The summed loss of n tokens and its gradient for `hidden`, `weight` and `bias`; 0 for no token.

    Args:
        hidden: last hidden state at each position that is trained on (no ignored ones).
        weight: the output matrix. If it is frozen, its gradient is neither computed nor stored.
        labels: the token that follows each position.
        loss: a token loss, its knobs bound by functools.partial.
        bias: bias of the output layer.
        softcap: the logits become softcap tanh(logits / softcap).
        scale: factor on the logits, before the cap.
        chunk: rows of logits in memory at a time; None for a fixed memory budget.
        reference_logprob: log probability of the labels under the base model, for losses that need it.
    """
    rows = chunk or chunk_rows(hidden.shape[0], weight.shape[0], hidden.device.type == "cpu")
    outputs = _Chunked.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, labels, loss, scale, softcap, rows, reference_logprob
    )
    return Result(*outputs)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left @ right to a float32 (or float64) sum, in place, without rounding the product to the inputs' dtype."""
    if total.is_cuda and left.dtype in (torch.bfloat16, torch.float16):
        torch.addmm(total, left, right, out_dtype=total.dtype, out=total)
    else:
        total.addmm_(left.to(total.dtype), right.to(total.dtype))


def _value_and_grad(function: Callable[[Tensor], Tensor], inputs: Tensor) -> tuple[Tensor, Tensor]:
    """A function's values, and the gradient of their sum with respect to its inputs."""
    with torch.enable_grad():
        leaf = inputs.detach().requires_grad_()
        values = function(leaf)
        if not values.requires_grad:
            return values.detach(), torch.zeros_like(leaf)
        (grad,) = torch.autograd.grad(values.sum(), leaf)
    return values.detach(), grad


@dataclass(frozen=True)
class _Chunk:
    """Loss and training dynamics of one chunk of rows, and the gradient with respect to its logits."""

    loss: Float[Tensor, " m"]
    nll: Float[Tensor, " m"]
    is_argmax: Bool[Tensor, " m"]
    logits_grad: Float[Tensor, "m vocab"]


def _chunk(
    head: Head,
    hidden: Float[Tensor, "m hidden"],
    labels: Int[Tensor, " m"],
    loss: TokenLoss,
    extra: dict[str, Tensor],
    precomputed: tuple[Tensor, Tensor] | None,
) -> _Chunk:
    """Loss and logits gradient of some rows.

    Args:
        head: the output layer.
        hidden: hidden states of the rows.
        labels: their labels.
        loss: the token loss.
        extra: further inputs of the loss, by row.
        precomputed: (loss, its derivative with respect to the label's log probability) by row; None to compute it.
    """
    logits, gate, column = logits_of(head, hidden), trait(loss, "gate"), labels[:, None]
    softcap_grad = None if head.softcap is None else (logits / head.softcap).square_().neg_().add_(1.0)
    label_logit, top = logits.gather(-1, column), logits.amax(-1, keepdim=True)  # [m vocab] -> [m 1]
    is_argmax = (label_logit >= top).squeeze(-1)  # [m 1] -> [m]
    if gate is None:
        logprob = label_logprob(logits, labels)
        values, logits_grad = _value_and_grad(lambda z: loss(z, labels, **extra), logits)
    else:
        weights = logits.sub_(top).exp_()
        total = weights.sum(-1, keepdim=True)
        logprob = (label_logit - top - total.log()).squeeze(-1)  # [m 1] -> [m]
        tokens = Tokens(lambda: weights / total, **extra)
        values, logprob_grad = precomputed or _value_and_grad(lambda x: gate(x, tokens, **bound_knobs(loss)), logprob)
        logits_grad = weights.mul_(logprob_grad[:, None] / -total)
        logits_grad.scatter_add_(-1, column, logprob_grad[:, None])
    if softcap_grad is not None:
        logits_grad.mul_(softcap_grad)
    return _Chunk(values, -logprob, is_argmax, logits_grad.mul_(head.scale) if head.scale != 1.0 else logits_grad)


class _Chunked(torch.autograd.Function):
    """Loss and gradient chunk by chunk; the backward pass only multiplies by the incoming gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        loss: TokenLoss,
        scale: float,
        softcap: float | None,
        rows: int,
        reference_logprob: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        sum_dtype = torch.float64 if dtype == torch.float64 else torch.float32
        n, needs_grad = hidden.shape[0], ctx.needs_input_grad
        head = Head(weight.to(dtype), bias, softcap, scale)
        hidden_grad = torch.zeros_like(hidden) if needs_grad[0] else None
        weight_grad = torch.zeros_like(weight, dtype=sum_dtype) if needs_grad[1] else None
        bias_grad = torch.zeros_like(bias, dtype=sum_dtype) if bias is not None and needs_grad[2] else None
        loss_sum = hidden.new_zeros((), dtype=sum_dtype)
        nll = hidden.new_empty(n, dtype=sum_dtype)
        is_argmax = hidden.new_empty(n, dtype=torch.bool)
        extra = {}
        if reference_logprob is not None and reads_reference(loss):
            extra["reference_logprob"] = reference_logprob.to(nll)
        chunks = [slice(start, start + rows) for start in range(0, n, rows)]
        with torch.autocast(device, enabled=False):
            precomputed = None
            if trait(loss, "ranks_tokens"):
                precomputed = _rank_tokens(head, hidden.to(dtype), labels, loss, extra, chunks)
            for part in chunks:
                states = hidden[part].to(dtype)
                precomputed_part = None if precomputed is None else (precomputed[0][part], precomputed[1][part])
                extra_part = {name: value[part] for name, value in extra.items()}
                chunk = _chunk(head, states, labels[part], loss, extra_part, precomputed_part)
                loss_sum += chunk.loss.sum()
                nll[part], is_argmax[part] = chunk.nll, chunk.is_argmax
                logits_grad = chunk.logits_grad.to(dtype)
                if hidden_grad is not None:
                    hidden_grad[part] = logits_grad @ head.weight
                if weight_grad is not None:
                    _add_product(weight_grad, logits_grad.t(), states)
                if bias_grad is not None:
                    bias_grad += chunk.logits_grad.sum(0)
        ctx.gradients = (hidden_grad, weight_grad, bias_grad)
        ctx.dtypes = tuple(None if t is None else t.dtype for t in (hidden, weight, bias))
        ctx.mark_non_differentiable(nll, is_argmax)
        ctx.set_materialize_grads(False)
        return loss_sum, nll, is_argmax

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        """Multiply the gradients of the forward pass by the incoming one, in place, so they can be used only once."""
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError("chunked_loss: second backward pass through one loss; compute the loss again instead")
        input_grads = [
            None if grad_output is None or gradient is None else gradient.mul_(grad_output).to(dtype)
            for gradient, dtype in zip(gradients, ctx.dtypes, strict=True)
        ]
        return (*input_grads, None, None, None, None, None, None)


def _rank_tokens(
    head: Head, hidden: Tensor, labels: Tensor, loss: TokenLoss, extra: dict[str, Tensor], chunks: list[slice]
) -> tuple[Tensor, Tensor]:
    """Every token's loss and its derivative with respect to the log probability, for a loss that ranks the tokens.

    This computes the logits a second time, because a token's loss depends on the tokens of all chunks.

    Args:
        head: the output layer.
        hidden: all hidden states.
        labels: all labels.
        loss: the token loss.
        extra: further inputs of the loss.
        chunks: the rows of each chunk.
    """
    logprobs = [label_logprob(logits_of(head, hidden[rows]), labels[rows]) for rows in chunks]
    logprob = torch.cat(logprobs) if logprobs else hidden.new_zeros(0)

    def unavailable() -> Tensor:
        raise NotImplementedError("a loss that ranks tokens sees log probabilities only")

    return _value_and_grad(lambda x: trait(loss, "gate")(x, Tokens(unavailable, **extra), **bound_knobs(loss)), logprob)
