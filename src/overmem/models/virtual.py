"""A learnt prompt as tokens: its embeddings get ids of their own, so that the model is a plain one with a prefix."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from overmem.errors import BadCheckpoint


class WithVirtual(nn.Module):
    """An embedding layer in which the ids behind the last stand for given embeddings."""

    def __init__(self, layer: Any, virtual: Float[Tensor, "tokens width"]) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("virtual", virtual, persistent=False)
        self.first = int(layer.weight.shape[0])

    @property
    def weight(self) -> Tensor:
        """The matrix of the real tokens."""
        return self.layer.weight  # type: ignore[no-any-return]

    def forward(self, ids: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time width"]:
        """Embeddings, the real tokens' as the layer makes them."""
        rows: Any = self.virtual
        real: Tensor = self.layer(ids.clamp(max=self.first - 1))
        return torch.where((ids >= self.first)[..., None], rows[(ids - self.first).clamp(min=0)].to(real), real)


def without_prompt_learning(model: Any, path: str) -> Any:
    """The base model of a PEFT prompt, its virtual tokens known as `model.prefix_ids`: put them before every prompt.

    PEFT's own wrapper adds the embeddings to every forward call, also to one that goes on from a cache, and before the
    padding of a row that is padded on the left.

    Raises:
        BadCheckpoint: a prompt that is no embeddings but keys and values (prefix tuning and its kin).
    """
    kind = model.active_peft_config.peft_type.value
    if kind not in ("PROMPT_TUNING", "P_TUNING"):
        raise BadCheckpoint(f"{path} is an adapter of type {kind}, whose prompt is not read as embeddings")
    with torch.no_grad():
        virtual = model.get_prompt(batch_size=1)[0]
    inner = model.get_base_model()
    layer = WithVirtual(inner.get_input_embeddings(), virtual.detach().clone())
    inner.set_input_embeddings(layer)
    inner.prefix_ids = tuple(range(layer.first, layer.first + len(virtual)))
    return inner


def prefix_of(model: Any) -> tuple[int, ...]:
    """The ids to put before every prompt: none but for a model with a learnt prompt."""
    return tuple(getattr(model, "prefix_ids", ()))
