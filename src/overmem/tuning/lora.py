"""Low-rank adaptation."""

from typing import Any

from overmem.tuning.adapted import low_rank


def lora(
    model: Any, *, r: int = 16, alpha: int = 32, dropout: float = 0.0, target_modules: str | list[str] = "all-linear"
) -> Any:
    """Low-rank adaptation: each adapted matrix gains alpha / r times B A, and only A and B are trained.

    B starts at zero, so training starts at the base model.

    Args:
        model: the base model; wrapped in place.
        r: rank of the update.
        alpha: the update is alpha / r times B A.
        dropout: on the adapter's input.
        target_modules: which layers are adapted, as PEFT names them.

    Source: Hu et al. 2021, https://arxiv.org/abs/2106.09685.
    Differs from the paper: all linear layers but the output layer are adapted, not the attention's alone.
    """
    return low_rank(model, r, alpha, dropout, target_modules)
