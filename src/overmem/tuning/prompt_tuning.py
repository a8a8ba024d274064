"""Prompt tuning."""

from typing import Any

from overmem.tuning.adapted import adapted


def prompt_tuning(model: Any, *, tokens: int = 20) -> Any:
    """Prompt tuning: trainable embeddings are put before every prompt; the model is frozen.

    It has few trainable parameters: use about a hundred times LoRA's learning rate.

    Args:
        model: the base model; wrapped in place.
        tokens: number of trainable embeddings.

    Source: Lester et al. 2021, https://arxiv.org/abs/2104.08691.
    Differs from the paper: the embeddings are initialised at random (PEFT's default), not with embeddings of words.
    """
    from peft import PromptTuningConfig

    return adapted(model, PromptTuningConfig(num_virtual_tokens=tokens, task_type="CAUSAL_LM"))
