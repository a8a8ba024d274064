"""Principal singular values and vectors adaptation."""

from typing import Any

from overmem.tuning.adapted import low_rank


def pissa(
    model: Any, *, r: int = 16, alpha: int = 32, dropout: float = 0.0, target_modules: str | list[str] = "all-linear"
) -> Any:
    """PiSSA: LoRA initialised with the matrix's largest singular directions, which are subtracted from the base.

    Creating the adapter changes the base's weights; loading it changes them in the same way.

    Args:
        model: the base model; wrapped in place.
        r: rank of the update.
        alpha: the update is alpha / r times B A.
        dropout: on the adapter's input.
        target_modules: which layers are adapted, as PEFT names them.

    Source: Meng et al. 2024, https://arxiv.org/abs/2404.02948.
    Differs from the paper: the exact decomposition, not the randomised one, so that loading reproduces it.
    """
    return low_rank(model, r, alpha, dropout, target_modules, init_lora_weights="pissa")
