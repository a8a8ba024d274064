"""Soft prompts as virtual tokens: their embeddings get token ids, so that the model is a plain one with a prefix."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from overmem.errors import BadCheckpoint


class EmbeddingWithVirtualTokens(nn.Module):
    """An embedding layer extended by virtual tokens, whose ids follow those of the vocabulary."""

    def __init__(self, layer: Any, virtual: Float[Tensor, "tokens width"]) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("virtual", virtual, persistent=False)
        self.first = int(layer.weight.shape[0])

    @property
    def weight(self) -> Tensor:
        """The embedding matrix of the real tokens."""
        return self.layer.weight  # type: ignore[no-any-return]

    def forward(self, ids: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time width"]:
        """Embeddings; those of real tokens come from the wrapped layer."""
        virtual: Any = self.virtual
        embedded: Tensor = self.layer(ids.clamp(max=self.first - 1))  # [batch time] -> [batch time width]
        return torch.where(
            (ids >= self.first)[..., None],
            virtual[(ids - self.first).clamp(min=0)].to(embedded),
            embedded,
        )


def without_prompt_learning(model: Any, path: str) -> Any:
    """The base model of a PEFT soft prompt, with `model.prefix_ids`: the virtual tokens to put before every prompt.

    PEFT's wrapper prepends the embeddings in every forward call, even when it continues from a cache, and puts them
    before left padding.

    Raises:
        BadCheckpoint: the prompt consists of keys and values instead of embeddings (prefix tuning).
    """
    kind = model.active_peft_config.peft_type.value
    if kind not in ("PROMPT_TUNING", "P_TUNING"):
        raise BadCheckpoint(f"{path} is an adapter of type {kind}, whose prompt is not made of embeddings")
    with torch.no_grad():
        virtual = model.get_prompt(batch_size=1)[0]
    inner = model.get_base_model()
    layer = EmbeddingWithVirtualTokens(inner.get_input_embeddings(), virtual.detach().clone())
    inner.set_input_embeddings(layer)
    inner.prefix_ids = tuple(range(layer.first, layer.first + len(virtual)))
    return inner


def prefix_of(model: Any) -> tuple[int, ...]:
    """The ids to put before every prompt; empty unless the model has a soft prompt."""
    return tuple(getattr(model, "prefix_ids", ()))
