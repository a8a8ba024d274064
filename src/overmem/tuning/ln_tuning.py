"""Tuning of the normalisation layers."""

from typing import Any

from overmem.tuning.adapted import adapted


def ln_tuning(model: Any, *, target_modules: str | list[str] | None = None) -> Any:
    """Only the normalisation layers are trained: one number per channel.

    Args:
        model: the base model; wrapped in place.
        target_modules: which layers; by default PEFT's choice for the architecture.

    Source: Zhao et al. 2023, https://arxiv.org/abs/2312.11420.
    Differs from the paper: text models; embeddings and output layer stay frozen.
    """
    from peft import LNTuningConfig

    return adapted(model, LNTuningConfig(target_modules=target_modules, task_type="CAUSAL_LM"))
