"""Rank-stabilised low-rank adaptation."""

from typing import Any

from overmem.tuning.adapted import low_rank


def rslora(
    model: Any, *, r: int = 16, alpha: int = 32, dropout: float = 0.0, target_modules: str | list[str] = "all-linear"
) -> Any:
    """Rank-stabilised LoRA: LoRA whose update is scaled by alpha / sqrt(r), so that it does not shrink with the rank.

    Args:
        model: the base model; wrapped in place.
        r: rank of the update.
        alpha: the update is alpha / sqrt(r) times B A.
        dropout: on the adapter's input.
        target_modules: which layers are adapted, as PEFT names them.

    Source: Kalajdzievski 2023, https://arxiv.org/abs/2312.03732.
    Differs from the paper: nothing.
    """
    return low_rank(model, r, alpha, dropout, target_modules, use_rslora=True)
