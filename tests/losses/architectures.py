"""Tiny random models of real architectures and a batch for them, for the tests of losses and of output layers."""

import torch
import transformers as hf
from torch import Tensor, nn

VOCAB = 67
SMALL = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2 = {"vocab_size": VOCAB, "n_embd": 16, "n_layer": 2, "n_head": 2, "bos_token_id": 1, "eos_token_id": 2}
ARCHITECTURES = {
    "llama": (hf.LlamaConfig, hf.LlamaForCausalLM, SMALL),
    "llama, tied": (hf.LlamaConfig, hf.LlamaForCausalLM, {**SMALL, "tie_word_embeddings": True}),
    "gemma2, soft cap": (hf.Gemma2Config, hf.Gemma2ForCausalLM, {**SMALL, "final_logit_softcapping": 1.5}),
    "cohere, scaled": (hf.CohereConfig, hf.CohereForCausalLM, {**SMALL, "logit_scale": 0.25}),
    "granite, divided": (hf.GraniteConfig, hf.GraniteForCausalLM, {**SMALL, "logits_scaling": 3.0}),
    "phi, bias": (hf.PhiConfig, hf.PhiForCausalLM, {**SMALL, "num_key_value_heads": 2}),
    "gpt2": (hf.GPT2Config, hf.GPT2LMHeadModel, {**GPT2, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}),
    "qwen3": (hf.Qwen3Config, hf.Qwen3ForCausalLM, SMALL),
}


def model_of(kind: str, seed: int = 0, **changes) -> nn.Module:
    config, cls, knobs = ARCHITECTURES[kind]
    return spread_out(cls(config(**{**knobs, **changes})), seed)


def spread_out(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in float64 with large random weights: at the usual initialisation all logits are nearly equal."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.double().named_parameters():
        noise = 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data.copy_(noise + float("norm" in name or "ln_" in name))
    return model


def batch_of(rows: int = 4, time: int = 12, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, VOCAB, (rows, time), generator=generator)
    labels = ids.clone()
    for row in range(rows):
        labels[row, : 2 + row] = -100
    labels[0, 9:] = -100
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
