"""Orthonormal low-rank adaptation."""

from typing import Any

from overmem.tuning.adapted import low_rank


def olora(
    model: Any, *, r: int = 16, alpha: int = 32, dropout: float = 0.0, target_modules: str | list[str] = "all-linear"
) -> Any:
    """OLoRA: LoRA initialised from the matrix's QR decomposition (B orthonormal), which is subtracted from the base.

    Creating the adapter changes the base's weights; loading it changes them in the same way.

    Args:
        model: the base model; wrapped in place.
        r: rank of the update.
        alpha: the update is alpha / r times B A.
        dropout: on the adapter's input.
        target_modules: which layers are adapted, as PEFT names them.

    Source: Büyükakyüz 2024, https://arxiv.org/abs/2406.01775.
    Differs from the paper: nothing known.
    """
    return low_rank(model, r, alpha, dropout, target_modules, init_lora_weights="olora")
