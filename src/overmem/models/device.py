"""Batch limits of a device: tokens per forward pass, and rows of logits in memory.

An accelerator gets faster with larger batches, up to its memory. A CPU does not: beyond a few hundred tokens a matrix
product gains nothing, and activations slow it down once they exceed the processor's caches or the 32 MiB that glibc
keeps between allocations. Of 39 s that a CPU took to score 24 solutions with a 135M model, 10 s were page faults and
12 s waiting for memory.
"""

from typing import Any

import torch

LOGIT_BYTES = 128 * 2**20
"""Bytes of float32 logits in memory at a time, on an accelerator; a few temporary copies of this size are made."""
LOGIT_BYTES_ON_CPU = 24 * 2**20
"""The same on a CPU."""


def tokens_at_once(model: Any, token_budget: int) -> int:
    """Maximum padded tokens per forward pass: the budget; fewer on a CPU, so that activations stay below 4 MiB."""
    if model.device.type != "cpu":
        return token_budget
    width = int(model.config.get_text_config().hidden_size)
    return min(token_budget, max(512, 2**18 // width))


def logit_rows(device: torch.device, vocabulary: int) -> int:
    """Rows of logits to compute at a time; at least one."""
    return max(1, (LOGIT_BYTES_ON_CPU if device.type == "cpu" else LOGIT_BYTES) // (4 * vocabulary))
