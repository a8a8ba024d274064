"""Every decoder architecture of transformers, built from a tiny configuration with random weights."""

import inspect

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from overmem.models.supported import UNSUPPORTED

VOCAB = 96
SMALL = {
    "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128, "n_ctx": 128, "d_model": 32,
    "num_layers": 2, "num_heads": 4, "ffn_dim": 48, "word_embed_proj_dim": 32, "rotary_dim": 4, "n_inner": 48,
    "num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24,
    "n_routed_experts": 4,
    "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8, "v_head_dim": 8, "sliding_window": 16, "state_size": 8, "expand": 2, "conv_kernel": 4,
    "mamba_d_state": 8, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_n_heads": 4, "mamba_d_head": 16, "n_groups": 1,
    "mamba_n_groups": 1, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 48, "encoder_layers": 2,
    "encoder_attention_heads": 4, "encoder_ffn_dim": 48, "first_k_dense_replace": 1, "lru_width": 32,
    "shared_expert_intermediate_size": 24, "moe_num_experts": 4, "moe_topk": 2, "moe_num_shared_experts": 1,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "attention_window_size": 16, "embedding_size": 32, "ffn_hidden_size": 48, "kv_channels": 8, "num_kv_heads": 2,
}  # fmt: skip
ATTENTION_TOO = {"layer_types": ["linear_attention", "full_attention"]}
NO_HEAD_SIZE = {"head_dim": None}
OWN = {
    "mamba2": {"num_heads": 8, "head_dim": 8, "chunk_size": 8},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 16, "hidden_size": 32},
    "falcon": {"num_kv_heads": 4, "new_decoder_architecture": False},
    "cohere2": {"layer_types": ["sliding_attention", "full_attention"]},
    "bloom": {"hidden_size": 32}, "mpt": {"max_seq_len": 128}, "ctrl": {"dff": 48}, "xglm": {"attention_heads": 4},
    "bamba": {"attn_layer_indices": [1]}, "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1}, "qwen3_next": ATTENTION_TOO,
    "qwen3_5_text": ATTENTION_TOO, "qwen3_5_moe_text": ATTENTION_TOO,
    "deepseek_v2": NO_HEAD_SIZE, "deepseek_v3": NO_HEAD_SIZE, "minicpm3": NO_HEAD_SIZE, "youtu": NO_HEAD_SIZE,
    "glm4_moe_lite": NO_HEAD_SIZE, "longcat_flash": NO_HEAD_SIZE,
    "rembert": {"output_embedding_size": 32, "input_embedding_size": 32},
}  # fmt: skip
"""What a model type needs beyond or instead of SMALL; None leaves a knob out."""
FEWEST = 100
"""Architectures that are compared, at least."""
NO_DECODERS = {
    "bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "marian", "mbart", "mvp", "pegasus", "plbart",
    "prophetnet", "speech_to_text_2", "trocr", "whisper",
}  # fmt: skip
"""The decoder halves of models with an encoder: `generate` treats them otherwise, and nobody fine-tunes them alone."""


LARGE = {"blt", "emu3", "gemma4_text", "git", "phi4_multimodal"}
"""Minutes to build even then: parts of them do not follow the configuration's sizes."""


def model_types():
    """Every model type of the mapping, by name."""
    return sorted(set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) - NO_DECODERS - LARGE - set(UNSUPPORTED))


def tiny(model_type):
    """A decoder of this type in float32, in evaluation mode, with weights that make its completions differ.

    Raises:
        Exception: whatever the library raises where it cannot be built so small.
    """
    config_class = type(AutoConfig.for_model(model_type))
    accepted = {*inspect.signature(config_class.__init__).parameters, *getattr(config_class, "__annotations__", {})}
    accepted |= {*getattr(config_class, "attribute_map", {}), *vars(AutoConfig.for_model(model_type))}
    knobs = {k: v for k, v in SMALL.items() if k in accepted} | OWN.get(model_type, {})
    knobs |= {"is_decoder": True} if "is_decoder" in accepted else {}
    config = AutoConfig.for_model(model_type, **{k: v for k, v in knobs.items() if v is not None})
    text = config.get_text_config(decoder=True)
    sizes = [v for k, v in vars(text).items() if k in ("hidden_size", "num_hidden_layers", "d_model")]
    if sum(v for v in sizes if isinstance(v, int)) > 200:
        raise ValueError("its configuration cannot be made small this way")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        if sum(p.numel() for p in model.parameters()) > 3_000_000:
            raise ValueError("its configuration cannot be made small this way")
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "norm" not in name and "conv" not in name:
                torch.nn.init.normal_(parameter, std=0.15)
    return model
