"""Vector-based random matrix adaptation."""

from typing import Any

from overmem.tuning.adapted import adapted


def vera(
    model: Any, *, r: int = 256, dropout: float = 0.0, target_modules: str | list[str] = "all-linear", key: int = 0
) -> Any:
    """VeRA: one random, frozen pair of low-rank matrices for all layers; each layer trains two vectors that scale it.

    Args:
        model: the base model; wrapped in place.
        r: rank of the shared pair.
        dropout: on the adapter's input.
        target_modules: which layers are adapted, as PEFT names them.
        key: seed of the shared pair.

    Source: Kopiczko et al. 2023, https://arxiv.org/abs/2310.11454.
    Differs from the paper: all linear layers but the output layer are adapted.
    """
    from peft import VeraConfig

    config = VeraConfig(
        r=r, vera_dropout=dropout, target_modules=target_modules, projection_prng_key=key, task_type="CAUSAL_LM"
    )
    return adapted(model, config)
