"""Losses that are functions of the label's log probability: their gradient is a gate times that of cross-entropy.

If a loss is f(log p_y), where f may also depend on the detached distribution, then its gradient with respect to the
logits is g (p - e_y) with the gate g = -f'(log p_y): one number per token. Such a loss needs no autograd over the
vocabulary, so it costs the same as plain cross-entropy.
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

IGNORED = -100
"""Label of a position that adds nothing to loss or gradient."""

TokenLoss: TypeAlias = Callable[..., Float[Tensor, " n"]]


@dataclass(frozen=True)
class Tokens:
    """A gate's inputs besides the label's log probability, all detached."""

    probabilities: Callable[[], Float[Tensor, "n vocab"]]
    """The full distribution, computed only when called, because it takes a buffer of n x vocab."""
    reference_logprob: Float[Tensor, " n"] | None = None
    """Log probability of the labels under the base model, computed once before training."""


def reference(tokens: Tokens, name: str) -> Float[Tensor, " n"]:
    """The base model's log probability of the labels.

    Raises:
        BadRequest: there is none.
    """
    if tokens.reference_logprob is None:
        raise BadRequest(f"loss {name!r} needs reference_logprob: the base model's log probability of each label")
    return tokens.reference_logprob.detach()


def require(in_range: bool, loss: str, knob: str, value: object, allowed: str) -> None:
    """Refuse a knob outside its range.

    Args:
        in_range: whether the value is allowed.
        loss: name of the loss.
        knob: name of the knob.
        value: its value.
        allowed: the range, in words.

    Raises:
        BadRequest: `in_range` is False; the message names the value and the range.
    """
    if not in_range:
        raise BadRequest(f"loss {loss!r}: {knob} is {value!r}, allowed: {allowed}")


def log_probabilities(logits: Float[Tensor, "n vocab"]) -> Float[Tensor, "n vocab"]:
    """Natural log of the full distribution, at least in float32."""
    return torch.log_softmax(logits if logits.dtype == torch.float64 else logits.float(), dim=-1)


def label_logprob(logits: Float[Tensor, "n vocab"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Natural log of the probability of each label, at least in float32."""
    return log_probabilities(logits).gather(-1, labels[:, None]).squeeze(-1)  # [n vocab] -> [n 1] -> [n]


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
    """Turn a function `(logprob, tokens, *, knobs) -> [n]` into a token loss `(logits, labels, *, knobs) -> [n]`.

    Args:
        gate: the loss as a function of the label's log probability.
        needs_reference: whether it reads `tokens.reference_logprob`.
        ranks_tokens: whether a token's loss depends on the other tokens; all log probabilities are then computed first.
        relabel: `(input_ids, labels, *, attention_mask, position_ids, knobs) -> labels`, which removes labels.
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
    """The attribute `name` that `gated` set on a loss, also under functools.partial; None if there is none."""
    return getattr(loss.func if isinstance(loss, functools.partial) else loss, name, None)


def reads_reference(loss: TokenLoss) -> bool:
    """Whether a loss takes `reference_logprob` as a keyword."""
    return trait(loss, "gate") is not None or "reference_logprob" in inspect.signature(loss).parameters


def bound_knobs(loss: TokenLoss) -> dict[str, Any]:
    """The knobs that functools.partial bound to a loss."""
    return dict(loss.keywords) if isinstance(loss, functools.partial) else {}
