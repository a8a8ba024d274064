"""Adapters that hold token embeddings: their base model gets as many, because tokens were added before training."""

from collections.abc import Mapping
from typing import Any


def embedding_names(base: Any) -> set[str]:
    """The names of the input and output embeddings in PEFT's files of an adapter on this base model."""
    layers = (base.get_input_embeddings(), base.get_output_embeddings())
    return {
        f"base_model.model.{name}.weight"
        for name, layer in base.named_modules()
        if any(layer is embedding for embedding in layers)
    }


def resize_embeddings(base: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Resize the token embeddings of a base model to those that an adapter holds; the adapter then replaces them.

    Args:
        base: the base model, without the adapter.
        shapes: name -> shape of every tensor of the adapter.
    """
    rows = {shapes[name][0] for name in embedding_names(base) if name in shapes}
    if rows and max(rows) != base.get_input_embeddings().weight.shape[0]:
        base.resize_token_embeddings(max(rows), mean_resizing=False)
