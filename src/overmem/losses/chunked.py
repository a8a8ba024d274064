"""Any loss of the family from hidden states and the output matrix, without materialising the logits of the whole batch.

Logits are computed for a few rows at a time, turned into their gradient in place, multiplied back, and dropped. Memory
is a constant budget of logits plus the gradients themselves. Computing the gradient in the forward pass costs three
matrix products in all; recomputing the logits in a backward pass would cost four.
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
"""Logits held at a time if `chunk` is None: 64 MiB in float32 on a CPU, 512 MiB on an accelerator."""


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
    """Rows of logits to hold at a time: as the budget allows, in chunks of nearly equal size."""
    most = max(1, (LOGITS_ON_CPU if on_cpu else LOGITS_ON_DEVICE) // vocab)
    chunks = max(1, -(-n // most))
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
        bias: of the output layer.
        softcap: the logits become softcap tanh(logits / softcap).
        scale: factor on the logits, before the cap.
        chunk: rows of logits held at a time; None for a fixed budget of memory.
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


def _slopes(values: Callable[[Tensor], Tensor], point: Tensor) -> tuple[Tensor, Tensor]:
    """A function's values at a point, and the gradient of their sum."""
    with torch.enable_grad():
        leaf = point.detach().requires_grad_()
        result = values(leaf)
        if not result.requires_grad:
            return result.detach(), torch.zeros_like(leaf)
        (slope,) = torch.autograd.grad(result.sum(), leaf)
    return result.detach(), slope


@dataclass(frozen=True)
class _Chunk:
    """One chunk's part of the result, and the gradient for its logits."""

    loss: Float[Tensor, " m"]
    nll: Float[Tensor, " m"]
    is_argmax: Bool[Tensor, " m"]
    slope: Float[Tensor, "m vocab"]


def _chunk(
    head: Head,
    hidden: Float[Tensor, "m hidden"],
    labels: Int[Tensor, " m"],
    loss: TokenLoss,
    extra: dict[str, Tensor],
    ranked: tuple[Tensor, Tensor] | None,
) -> _Chunk:
    """Loss and logit gradient of some rows.

    Args:
        head: the output layer.
        hidden: hidden states of the rows.
        labels: their labels.
        loss: the token loss.
        extra: further inputs of the loss, by row.
        ranked: (loss, its derivative by the label's log probability) of the rows, if computed before; else None.
    """
    logits, gate, column = logits_of(head, hidden), trait(loss, "gate"), labels[:, None]
    bend = None if head.softcap is None else (logits / head.softcap).square_().neg_().add_(1.0)
    label_logit, top = logits.gather(-1, column), logits.amax(-1, keepdim=True)  # [m vocab] -> [m 1]
    is_argmax = (label_logit >= top).squeeze(-1)  # [m 1] -> [m]
    if gate is None:
        logprob = label_logprob(logits, labels)
        values, slope = _slopes(lambda z: loss(z, labels, **extra), logits)
    else:
        weights = logits.sub_(top).exp_()
        total = weights.sum(-1, keepdim=True)
        logprob = (label_logit - top - total.log()).squeeze(-1)  # [m 1] -> [m]
        tokens = Tokens(lambda: weights / total, **extra)
        values, by_logprob = ranked or _slopes(lambda x: gate(x, tokens, **bound_knobs(loss)), logprob)
        slope = weights.mul_(by_logprob[:, None] / -total)
        slope.scatter_add_(-1, column, by_logprob[:, None])
    if bend is not None:
        slope.mul_(bend)
    return _Chunk(values, -logprob, is_argmax, slope.mul_(head.scale) if head.scale != 1.0 else slope)


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
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        n, wanted = hidden.shape[0], ctx.needs_input_grad
        head = Head(weight.to(dtype), bias, softcap, scale)
        by_hidden = torch.zeros_like(hidden) if wanted[0] else None
        by_weight = torch.zeros_like(weight, dtype=wide) if wanted[1] else None
        by_bias = torch.zeros_like(bias, dtype=wide) if bias is not None and wanted[2] else None
        loss_sum = hidden.new_zeros((), dtype=wide)
        nll = hidden.new_empty(n, dtype=wide)
        is_argmax = hidden.new_empty(n, dtype=torch.bool)
        extra = {}
        if reference_logprob is not None and reads_reference(loss):
            extra["reference_logprob"] = reference_logprob.to(nll)
        parts = [slice(start, start + rows) for start in range(0, n, rows)]
        with torch.autocast(device, enabled=False):
            ranked = (
                _ranked(head, hidden.to(dtype), labels, loss, extra, parts) if trait(loss, "ranks_tokens") else None
            )
            for part in parts:
                state = hidden[part].to(dtype)
                ranked_part = None if ranked is None else (ranked[0][part], ranked[1][part])
                extra_part = {name: value[part] for name, value in extra.items()}
                piece = _chunk(head, state, labels[part], loss, extra_part, ranked_part)
                loss_sum += piece.loss.sum()
                nll[part], is_argmax[part] = piece.nll, piece.is_argmax
                slope = piece.slope.to(dtype)
                if by_hidden is not None:
                    by_hidden[part] = slope @ head.weight
                if by_weight is not None:
                    _add_product(by_weight, slope.t(), state)
                if by_bias is not None:
                    by_bias += piece.slope.sum(0)
        ctx.gradients = (by_hidden, by_weight, by_bias)
        ctx.dtypes = tuple(None if t is None else t.dtype for t in (hidden, weight, bias))
        ctx.mark_non_differentiable(nll, is_argmax)
        ctx.set_materialize_grads(False)
        return loss_sum, nll, is_argmax

    @staticmethod
    def backward(ctx: Any, upstream: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        """The forward pass's gradients times the incoming one, in place: they can be used once."""
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError("chunked_loss: second backward pass through one loss; compute the loss again instead")
        ready = [
            None if upstream is None or gradient is None else gradient.mul_(upstream).to(dtype)
            for gradient, dtype in zip(gradients, ctx.dtypes, strict=True)
        ]
        return (*ready, None, None, None, None, None, None)


def _ranked(
    head: Head, hidden: Tensor, labels: Tensor, loss: TokenLoss, extra: dict[str, Tensor], parts: list[slice]
) -> tuple[Tensor, Tensor]:
    """Loss and slope of every token, for a loss that ranks tokens; this computes the logits a second time.

    Args:
        head: the output layer.
        hidden: all hidden states.
        labels: all labels.
        loss: the token loss.
        extra: further inputs of the loss.
        parts: the chunks of rows.
    """
    logprobs = [label_logprob(logits_of(head, hidden[part]), labels[part]) for part in parts]
    logprob = torch.cat(logprobs) if logprobs else hidden.new_zeros(0)

    def unavailable() -> Tensor:
        raise NotImplementedError("a loss that ranks tokens sees log probabilities only")

    return _slopes(lambda x: trait(loss, "gate")(x, Tokens(unavailable, **extra), **bound_knobs(loss)), logprob)
