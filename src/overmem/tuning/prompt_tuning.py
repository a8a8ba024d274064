"""Prompt tuning."""

from typing import Any

from overmem.tuning.adapted import adapted


def prompt_tuning(model: Any, *, tokens: int = 20) -> Any:
    """Prompt tuning: some learnt embeddings before every prompt, and the model stays as it is.

    Few numbers learn, so the learning rate is some hundred times that of LoRA.

    Args:
        model: the base model; wrapped in place.
        tokens: how many embeddings.

    Source: Lester et al. 2021, https://arxiv.org/abs/2104.08691.
    Differs from the paper: the embeddings begin as PEFT draws them, not as those of real words.
    """
    from peft import PromptTuningConfig

    return adapted(model, PromptTuningConfig(num_virtual_tokens=tokens, task_type="CAUSAL_LM"))
