"""Losses that act on the label's log probability alone: each is a gate on the error of cross-entropy.

If a loss is f(log p_y), where f may also look at the (detached) distribution, then its gradient for the logits is
g (p - e_y) with the gate g = -f'(log p_y): one number a token. Such a loss never needs autograd over the vocabulary, so
it costs what plain cross-entropy costs.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, overload

import torch
from jaxtyping import Float, Int
from torch import Tensor

from overmem.errors import BadRequest

TokenLoss: TypeAlias = Callable[..., Float[Tensor, " n"]]


@dataclass(frozen=True)
class Tokens:
    """What a gate may see beside the label's log probability; none of it carries a gradient."""

    probabilities: Callable[[], Float[Tensor, "n vocab"]]
    """The whole distribution. Asking for it costs a buffer of n x vocab, so most gates do not."""
    reference_logprob: Float[Tensor, " n"] | None = None
    """Log probability of the labels under the base model, observed once before training."""


def reference(tokens: Tokens, name: str) -> Float[Tensor, " n"]:
    """The base model's log probability of the labels.

    Raises:
        BadRequest: it was not given; the message says how to.
    """
    if tokens.reference_logprob is None:
        raise BadRequest(f"loss {name!r} needs reference_logprob: the base model's log probability of each label")
    return tokens.reference_logprob.detach()


def require(holds: bool, loss: str, knob: str, given: object, allowed: str) -> None:
    """Refuse a knob outside its range.

    Raises:
        BadRequest: it does not hold; the message says what was given and what is allowed.
    """
    if not holds:
        raise BadRequest(f"loss {loss!r}: {knob} is {given!r}, allowed: {allowed}")


def log_probabilities(logits: Float[Tensor, "n vocab"]) -> Float[Tensor, "n vocab"]:
    """Natural log of the whole distribution, at least in float32."""
    return torch.log_softmax(logits if logits.dtype == torch.float64 else logits.float(), dim=-1)


def label_logprob(logits: Float[Tensor, "n vocab"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Natural log of the probability of each label, at least in float32."""
    return log_probabilities(logits).gather(-1, labels[:, None]).squeeze(-1)


@overload
def gated(gate: TokenLoss, /) -> TokenLoss: ...


@overload
def gated(
    *, needs_reference: bool = False, ranks_tokens: bool = False, relabel: Callable[..., Tensor] | None = None
) -> Callable[[TokenLoss], TokenLoss]: ...


def gated(
    gate: TokenLoss | None = None,
    /,
    *,
    needs_reference: bool = False,
    ranks_tokens: bool = False,
    relabel: Callable[..., Tensor] | None = None,
) -> TokenLoss | Callable[[TokenLoss], TokenLoss]:
    """The token loss `(logits, labels, *, knobs) -> [n]` of a function `(logprob, tokens, *, knobs) -> [n]`.

    Args:
        gate: the loss as a function of the label's log probability.
        needs_reference: it reads `tokens.reference_logprob`.
        ranks_tokens: one token's loss depends on the other tokens' (the driver then looks at all of them first).
        relabel: `(input_ids, labels, *, attention_mask, position_ids, knobs) -> labels`: it also takes labels out.
    """

    def decorate(function: TokenLoss) -> TokenLoss:
        @functools.wraps(function)
        def loss(
            logits: Float[Tensor, "n vocab"],
            labels: Int[Tensor, " n"],
            *,
            reference_logprob: Float[Tensor, " n"] | None = None,
            **knobs: Any,
        ) -> Float[Tensor, " n"]:
            tokens = Tokens(lambda: log_probabilities(logits.detach()).exp(), reference_logprob)
            return function(label_logprob(logits, labels), tokens, **knobs)

        loss.gate = function  # type: ignore[attr-defined]
        loss.needs_reference = needs_reference  # type: ignore[attr-defined]
        loss.ranks_tokens = ranks_tokens  # type: ignore[attr-defined]
        loss.relabel = relabel  # type: ignore[attr-defined]
        return loss

    return decorate if gate is None else decorate(gate)


def trait(loss: TokenLoss, name: str) -> Any:
    """What `gated` noted of a loss under `name`, None if nothing; knobs bound by functools.partial do not hide it."""
    return getattr(loss.func if isinstance(loss, functools.partial) else loss, name, None)


def reads_reference(loss: TokenLoss) -> bool:
    """Whether a loss takes `reference_logprob` as a keyword."""
    return trait(loss, "gate") is not None or "reference_logprob" in inspect.signature(loss).parameters


def bound_knobs(loss: TokenLoss) -> dict[str, Any]:
    """The knobs that functools.partial bound to a loss."""
    return dict(loss.keywords) if isinstance(loss, functools.partial) else {}
