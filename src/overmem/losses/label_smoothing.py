"""Label smoothing."""

from jaxtyping import Float, Int
from torch import Tensor

from overmem.losses.gate import log_probabilities, require


def label_smoothing(
    logits: Float[Tensor, "n vocab"], labels: Int[Tensor, " n"], *, smoothing: float = 0.1
) -> Float[Tensor, " n"]:
    """Label smoothing: cross-entropy against a target that gives a small, equal share to every token.

    (1 - e) l + (e / V) sum_k -log p_k. Gradient: p - (1 - e) e_y - e / V.

    Args:
        logits: one row per token.
        labels: the next token of each position.
        smoothing: the share e, in [0, 1).

    Source: Szegedy et al. 2015, https://arxiv.org/abs/1512.00567.
    Differs from the paper: nothing.
    """
    require(0 <= smoothing < 1, "label_smoothing", "smoothing", smoothing, "in [0, 1)")
    logprobs = log_probabilities(logits)
    return -(1 - smoothing) * logprobs.gather(-1, labels[:, None]).squeeze(-1) - smoothing * logprobs.mean(-1)
