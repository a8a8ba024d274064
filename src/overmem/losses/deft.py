"""Dynamic entropy fine-tuning."""

from jaxtyping import Float
from torch import Tensor

from overmem.losses.gate import Tokens, gated
from overmem.losses.tsallis import deformed_nll


@gated
def deft(logprob: Float[Tensor, " n"], tokens: Tokens) -> Float[Tensor, " n"]:
    """Dynamic entropy fine-tuning: the Tsallis loss whose order is the concentration of the model's distribution.

    The order is a = sum_k p_k^2, detached: a flat distribution gives cross-entropy, a peaked one 1 - p_y.
    Gate: p_y^a.

    Source: https://arxiv.org/abs/2602.11424.
    Differs from the paper: nothing known; written from its formula, not from its code.
    """
    return deformed_nll(logprob, tokens.probabilities().square().sum(-1))
