"""Every decoder architecture of transformers, built from a tiny configuration with random weights."""

import inspect

import torch
from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from overmem.models.auto import auto_class_of
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
LATENT = {"head_dim": None, "num_key_value_heads": 4}
"""Latent attention has keys and values for every head, and its head size follows from other sizes."""
SECTIONS = {"rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [1, 1, 2]}}
OWN = {
    "mamba2": {"num_heads": 8, "head_dim": 8, "chunk_size": 8},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 16, "hidden_size": 32},
    "falcon": {"num_kv_heads": 4, "new_decoder_architecture": False},
    "cohere2": {"layer_types": ["sliding_attention", "full_attention"]},
    "bloom": {"hidden_size": 32}, "mpt": {"max_seq_len": 128}, "ctrl": {"dff": 48}, "xglm": {"attention_heads": 4},
    "bamba": {"attn_layer_indices": [1]}, "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1}, "qwen3_next": ATTENTION_TOO,
    "qwen3_5_text": ATTENTION_TOO, "qwen3_5_moe_text": ATTENTION_TOO,
    "deepseek_v2": LATENT, "deepseek_v3": LATENT, "minicpm3": LATENT, "youtu": LATENT,
    "glm4_moe_lite": LATENT, "longcat_flash": {"head_dim": 8, "num_key_value_heads": 4, "zero_expert_num": 2},
    "kimi_linear": {"num_key_value_heads": 4, "linear_head_dim": 8, "linear_num_heads": 4,
                    "layer_types": ["linear_attention", "full_attention"], "max_position_embeddings": 128},
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_chunk_size": 8},
    "zamba": {"num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2, "head_dim": 16,
              "num_key_value_heads": 4, "n_mamba_heads": 2},
    "dbrx": {"attn_config": {"kv_n_heads": 2, "rope_theta": 10_000.0, "clip_qkv": 8}, "n_heads": 4, "n_layers": 2,
             "ffn_config": {"hidden_size": 32, "ffn_hidden_size": 48, "moe_num_experts": 4, "moe_top_k": 2},
             "max_seq_len": 128},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"], "num_key_value_heads": 4, "head_dim": None,
               "n_mamba_heads": 4, "mamba_ngroups": 1, "adapter_rank": 4, "chunk_size": 8},
    "recurrent_gemma": {"num_hidden_layers": 3}, "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "gemma3n_text": {"num_hidden_layers": 4, "num_kv_shared_layers": 2, "intermediate_size": [48] * 4,
                     "layer_types": ["sliding_attention", "full_attention"] * 2, "laurel_rank": 8,
                     "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": VOCAB,
                     "activation_sparsity_pattern": [0.0] * 4},
    "qwen2_vl_text": SECTIONS, "qwen2_5_vl_text": SECTIONS,
    "rembert": {"output_embedding_size": 32, "input_embedding_size": 32},
}  # fmt: skip
"""What a model type needs beyond or instead of SMALL; None leaves a knob out."""

VISION = {
    "hidden_size": 32, "embed_dim": 32, "depth": 2, "num_hidden_layers": 2, "num_heads": 4, "num_attention_heads": 4,
    "intermediate_size": 48, "mlp_ratio": 2, "patch_size": 4, "image_size": 16, "out_hidden_size": 32,
    "fullatt_block_indexes": [1], "deepstack_visual_indexes": [0], "num_position_embeddings": 16, "output_dim": 32,
    "vision_output_dim": 32, "head_dim": 8, "projection_dim": 32, "projector_input_dim": 32, "projector_output_dim": 32,
    "window_size": 16, "num_channels": 3, "hidden_dim": 32, "projector_hidden_size": 32, "out_channels": 32,
}  # fmt: skip
"""Sizes of the parts that see or hear; they are never used."""
MARKERS = (
    "image_token_id", "image_token_index", "video_token_id", "video_token_index", "vision_start_token_id",
    "vision_end_token_id", "boi_token_index", "eoi_token_index", "boi_token_id", "eoi_token_id", "audio_token_id",
    "boa_token_id", "eoa_token_id", "vision_token_id", "image_start_token_id", "image_end_token_id",
    "video_start_token_id", "video_end_token_id",
)  # fmt: skip
"""Tokens of images and sounds, which must lie in the vocabulary."""
FINE_TUNED = {
    "apertus", "arcee", "bamba", "biogpt", "bitnet", "bloom", "codegen", "cohere", "cohere2", "dbrx", "deepseek_v2",
    "deepseek_v3", "diffllama", "doge", "dots1", "ernie4_5", "ernie4_5_moe", "exaone4", "falcon", "falcon_h1",
    "falcon_mamba", "gemma", "gemma2", "gemma3", "gemma3_text", "gemma3n_text", "glm", "glm4", "glm4_moe", "gpt2",
    "gpt_bigcode", "gpt_neo", "gpt_neox", "gpt_oss", "gptj", "granite", "granitemoe", "granitemoehybrid", "helium",
    "hunyuan_v1_dense", "hunyuan_v1_moe", "internlm3", "jamba", "jetmoe", "kimi_linear", "lfm2", "lfm2_moe", "llama",
    "llama4", "llama4_text", "llava", "longcat_flash", "mamba", "mamba2", "minicpm3", "ministral", "mistral",
    "mistral3", "mixtral", "mpt", "nemotron", "olmo", "olmo2", "olmo3", "olmoe", "opt", "persimmon", "phi", "phi3",
    "phimoe", "qwen2", "qwen2_5_vl", "qwen2_moe", "qwen2_vl", "qwen3", "qwen3_moe", "qwen3_next", "qwen3_vl",
    "qwen3_vl_moe", "recurrent_gemma", "seed_oss", "smollm3", "stablelm", "starcoder2", "xglm", "zamba", "zamba2",
}  # fmt: skip
"""Architectures that trl or LLaMA-Factory fine-tune: each of them must be compared."""
NO_DECODERS = {
    "bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "marian", "mbart", "mvp", "pegasus", "plbart",
    "prophetnet", "speech_to_text_2", "trocr", "whisper",
}  # fmt: skip
"""The decoder halves of models with an encoder: `generate` treats them otherwise, and nobody fine-tunes them alone."""


LARGE = {"blt", "emu3", "gemma4_text", "git", "phi4_multimodal"}
"""Minutes to build even then: parts of them do not follow the configuration's sizes."""


def model_types():
    """Every model type of the mapping, by name, and those that see."""
    names = {*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *FINE_TUNED}
    return sorted(names - NO_DECODERS - LARGE - set(UNSUPPORTED))


def tiny(model_type, seed=1):
    """A decoder of this type in float32, in evaluation mode, with weights that make its completions differ.

    Raises:
        Exception: whatever the library raises where it cannot be built so small.
    """
    config_class = type(AutoConfig.for_model(model_type))
    config = AutoConfig.for_model(model_type, **knobs(config_class, SMALL))
    text = config.get_text_config(decoder=True)
    sizes = [v for k, v in vars(text).items() if k in ("hidden_size", "num_hidden_layers", "d_model")]
    if sum(v for v in sizes if isinstance(v, int)) > 200:
        raise ValueError("its configuration cannot be made small this way")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = auto_class_of(config).from_config(config, dtype=torch.float32).eval()
        if sum(p.numel() for p in model.parameters()) > 3_000_000:
            raise ValueError("its configuration cannot be made small this way")
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "norm" not in name and "conv" not in name:
                torch.nn.init.normal_(parameter, std=0.15)
    return model


def knobs(config_class, sizes):
    """Small sizes for what a configuration accepts, its parts included."""
    default = config_class()
    accepted = {*inspect.signature(config_class.__init__).parameters, *getattr(config_class, "__annotations__", {})}
    accepted |= {*getattr(config_class, "attribute_map", {}), *vars(default)}
    parts = {name: getattr(default, name, None) for name in getattr(config_class, "sub_configs", {})}
    parts = {name: part for name, part in parts.items() if part is not None}
    if "text_config" in parts:
        chosen = {name: VOCAB - 1 - i for i, name in enumerate(MARKERS) if name in accepted}
    else:
        chosen = {k: v for k, v in sizes.items() if k in accepted}
        chosen |= {"is_decoder": True} if "is_decoder" in accepted else {}
    for name, part in parts.items():
        chosen[name] = knobs(type(part), SMALL if "text" in name or sizes is VISION else VISION)
        chosen[name] |= {"model_type": part.model_type} if part.model_type else {}
    return {k: v for k, v in (chosen | OWN.get(config_class.model_type, {})).items() if v is not None}
