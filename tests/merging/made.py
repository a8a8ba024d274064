"""Tiny Llamas and adapters with random values, as training leaves them."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM


def fill(model: torch.nn.Module, seed: int, spread: float) -> None:
    """Give every parameter seeded random values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)


def random_llama(seed: int, *, spread: float = 0.2, **sizes: Any) -> LlamaForCausalLM:
    """A Llama of two narrow layers."""
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 64, **sizes}
    model = LlamaForCausalLM(LlamaConfig(num_attention_heads=4, max_position_embeddings=32, **small))
    fill(model, seed, spread)
    return model


def train(base: Path, step: int, **options: Any) -> Path:
    """A checkpoint folder with an adapter whose trainable values are all random, as after training."""
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM", **options}
    model = get_peft_model(LlamaForCausalLM.from_pretrained(base), LoraConfig(**settings))
    generator = torch.Generator().manual_seed(step)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            noise = torch.randn(parameter.shape, generator=generator) * 0.3
            parameter.data = parameter.data + noise if "magnitude" in name or "bias" in name else noise
    folder = base.parent / "run" / f"checkpoint-{step}"
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder
