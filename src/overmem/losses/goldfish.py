"""Goldfish loss: some tokens are never trained on, the same ones in every epoch."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from overmem.losses.gate import IGNORED, Tokens, gated, require

MULTIPLIER, MIX_1, MIX_2 = 6364136223846793005, -4658895280553007687, -7723592293110705685
"""Odd 64-bit constants of a linear congruential step and of the splitmix64 finish; products wrap around."""


def context_hash(input_ids: Int[Tensor, "batch time"], context: int) -> Float[Tensor, "batch time"]:
    """A number in [0, 1) for each position, from the `context` ids before it (0 where there are fewer)."""
    ids = input_ids.long() + 1
    padded = torch.nn.functional.pad(ids, (context, 0))  # [batch time] -> [batch context+time]
    state = torch.zeros_like(ids)
    for back in range(context):
        state = state * MULTIPLIER + padded[:, back : back + ids.shape[1]]
    for shift, multiplier in ((30, MIX_1), (27, MIX_2), (31, 1)):
        state = (state ^ ((state >> shift) & ((1 << (64 - shift)) - 1))) * multiplier
    return ((state >> 11) & ((1 << 53) - 1)).double() / float(1 << 53)


def kept_positions(
    input_ids: Int[Tensor, "batch time"],
    attention_mask: Tensor | None,
    position_ids: Tensor | None,
    k: int,
    context: int,
) -> Bool[Tensor, "batch time"]:
    """True where a position keeps its label: all but about one in k, decided by the preceding ids alone.

    Args:
        input_ids: token ids.
        attention_mask: 0 on padding; None for no padding.
        position_ids: positions within each packed document; None to count the real tokens of a row.
        k: one position in k is dropped.
        context: how many preceding ids are hashed.
    """
    if position_ids is None:
        is_token = torch.ones_like(input_ids) if attention_mask is None else (attention_mask > 0).long()
        position_ids = torch.nn.functional.pad(is_token.cumsum(-1), (1, 0))[:, :-1]
    return (context_hash(input_ids, context) >= 1.0 / k) | (position_ids < context)


def goldfish_labels(
    input_ids: Int[Tensor, "batch time"],
    labels: Int[Tensor, "batch time"],
    *,
    attention_mask: Tensor | None = None,
    position_ids: Tensor | None = None,
    k: int = 4,
    context: int = 13,
) -> Int[Tensor, "batch time"]:
    """The labels with about one in k set to -100. Idempotent.

    A position with an incomplete context (the first `context` real tokens of a row or, by `position_ids`, of a document
    packed into one) keeps its label, so neither padding nor packing makes a difference.

    Args:
        input_ids: token ids.
        labels: the labels, -100 where ignored.
        attention_mask: 0 on padding; None for no padding.
        position_ids: positions within each packed document; None to count the real tokens of a row.
        k: one label in k is dropped.
        context: how many preceding ids are hashed.
    """
    require(k >= 2, "goldfish", "k", k, ">= 2")
    require(context >= 1, "goldfish", "context", context, ">= 1")
    return labels.masked_fill(~kept_positions(input_ids, attention_mask, position_ids, k, context), IGNORED)


@gated(relabel=goldfish_labels)
def goldfish(logprob: Float[Tensor, " n"], tokens: Tokens, *, k: int = 4, context: int = 13) -> Float[Tensor, " n"]:
    """Goldfish loss: plain cross-entropy without about one token in k, the same ones in every epoch.

    A hash of the preceding ids decides, so a passage cannot be reproduced verbatim however often it is seen. The labels
    are removed before the forward pass. Gate on the remaining ones: 1.

    Args:
        logprob: log probability of each remaining label, nats.
        tokens: not used.
        k: one token in k is dropped.
        context: how many ids before a token are hashed.

    Source: Hans et al. 2024, https://arxiv.org/abs/2406.10209.
    Differs from the paper: another hash (splitmix64 of the ids in order; its code multiplies the ids, so their order
    does not matter and id 0 drops every token near it). Only labels that would be trained on can be dropped. The mean
    is over the remaining labels, also in a trainer, which counts them before the forward pass.
    """
    return -logprob
