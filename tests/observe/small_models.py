"""Models of a few thousand weights whose completions are not all alike."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

SIZES = {
    "vocab_size": 60, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "initializer_range": 0.5, "max_position_embeddings": 128,
}  # fmt: skip


def grouped():
    return LlamaForCausalLM(LlamaConfig(**SIZES))


def made(kind):
    """A model of this kind, the same every time, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return kind().eval()
