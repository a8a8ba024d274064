"""Weight-decomposed low-rank adaptation."""

from typing import Any

from overmem.tuning.adapted import low_rank


def dora(
    model: Any, *, r: int = 16, alpha: int = 32, dropout: float = 0.0, target_modules: str | list[str] = "all-linear"
) -> Any:
    """DoRA: LoRA on the direction of each row of a matrix, with the row's length as a separate trainable number.

    The norm of a row is held constant when differentiating.

    Args:
        model: the base model; wrapped in place.
        r: rank of the update.
        alpha: the update is alpha / r times B A.
        dropout: on the adapter's input.
        target_modules: which layers are adapted, as PEFT names them.

    Source: Liu et al. 2024, https://arxiv.org/abs/2402.09353.
    Differs from the paper: one length per output, as in its authors' code; the paper has one per column.
    """
    return low_rank(model, r, alpha, dropout, target_modules, use_dora=True)
