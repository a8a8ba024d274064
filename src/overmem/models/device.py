"""What a device takes at once: how many tokens in one forward pass, how many logits.

An accelerator is the faster the more it gets, up to its memory. A CPU is not: beyond some hundred tokens a matrix
product is no faster, and what no longer fits the processor's own caches, or the 32 MiB that glibc keeps from one
allocation to the next, is slower: of 39 s that a CPU took to score 24 solutions with a 135M model, 10 went into page
faults and 12 into waiting for memory.
"""

from typing import Any

import torch

LOGIT_BYTES = 128 * 2**20
"""Logits held at once, in float32, on an accelerator; a handful of copies of this size live for a moment."""
LOGIT_BYTES_ON_CPU = 24 * 2**20


def tokens_at_once(model: Any, token_budget: int) -> int:
    """Padded tokens in one forward pass, at most: the budget; on a CPU what keeps a layer's activations to 4 MiB."""
    if model.device.type != "cpu":
        return token_budget
    width = int(model.config.get_text_config().hidden_size)
    return min(token_budget, max(512, 2**18 // width))


def logit_rows(device: torch.device, vocabulary: int) -> int:
    """Rows of logits at once, one at least."""
    return max(1, (LOGIT_BYTES_ON_CPU if device.type == "cpu" else LOGIT_BYTES) // (4 * vocabulary))
