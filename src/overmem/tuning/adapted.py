"""PEFT's wrapper around a model, with its refusals said as ours."""

from typing import Any

from overmem.errors import BadRequest


def adapted(model: Any, config: Any) -> Any:
    """The model with an adapter of this configuration, whose weights alone learn.

    Raises:
        BadRequest: PEFT does not know where to put it in this architecture, or refuses a setting.
    """
    from peft import get_peft_model

    try:
        return get_peft_model(model, config)
    except (ValueError, TypeError) as error:
        raise BadRequest(f"{type(config).__name__} on {type(model).__name__}: {error}") from error


def low_rank(model: Any, r: int, alpha: int, dropout: float, target_modules: str | list[str], **how: Any) -> Any:
    """The model with a low-rank adapter, `how` being what sets one kind of them apart from another.

    Raises:
        BadRequest: a setting that PEFT refuses.
    """
    from peft import LoraConfig

    if r < 1:
        raise BadRequest(f"method knob r is {r!r}, allowed: >= 1")
    settings: dict[str, Any] = {"lora_alpha": alpha, "lora_dropout": dropout, "target_modules": target_modules, **how}
    return adapted(model, LoraConfig(r=r, task_type="CAUSAL_LM", **settings))
