"""PEFT's wrapper around a model, with its errors as BadRequest."""

from typing import Any

from overmem.errors import BadRequest


def adapted(model: Any, config: Any) -> Any:
    """The model with an adapter of this PEFT configuration; only the adapter is trainable.

    Raises:
        BadRequest: PEFT knows no target modules for this architecture, or refuses a setting.
    """
    from peft import get_peft_model

    try:
        return get_peft_model(model, config)
    except (ValueError, TypeError) as error:
        raise BadRequest(f"{type(config).__name__} on {type(model).__name__}: {error}") from error


def low_rank(model: Any, r: int, alpha: int, dropout: float, target_modules: str | list[str], **variant: Any) -> Any:
    """The model with a low-rank adapter.

    Args:
        model: the base model; wrapped in place.
        r: rank of the update.
        alpha: the update is alpha / r times B A.
        dropout: on the adapter's input.
        target_modules: which layers are adapted, as PEFT names them.
        **variant: the LoraConfig fields of a variant (DoRA, PiSSA, ...).

    Raises:
        BadRequest: a setting that PEFT refuses.
    """
    from peft import LoraConfig

    if r < 1:
        raise BadRequest(f"method knob r is {r!r}, allowed: >= 1")
    settings: dict[str, Any] = {
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "target_modules": target_modules,
        **variant,
    }
    return adapted(model, LoraConfig(r=r, task_type="CAUSAL_LM", **settings))
