"""Infused adapter by inhibiting and amplifying inner activations."""

from typing import Any

from overmem.tuning.adapted import adapted


def ia3(model: Any, *, target_modules: list[str] | None = None, feedforward_modules: list[str] | None = None) -> Any:
    """IA3: keys, values and the feed-forward layer's inner activations are each multiplied by a trained vector.

    It has few trainable parameters: use about ten times LoRA's learning rate.

    Args:
        model: the base model; wrapped in place.
        target_modules: layers that are scaled; by default PEFT's choice for the architecture.
        feedforward_modules: those target modules whose input is scaled instead of their output.

    Source: Liu et al. 2022, https://arxiv.org/abs/2205.05638.
    Differs from the paper: no unlikelihood and length-normalised losses; the loss is the recipe's.
    """
    from peft import IA3Config

    config = IA3Config(target_modules=target_modules, feedforward_modules=feedforward_modules, task_type="CAUSAL_LM")
    return adapted(model, config)
