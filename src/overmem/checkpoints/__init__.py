"""Checkpoints on disk: which a run has, where they stand in time, and their weights in one model skeleton.

Reads what any Hugging Face trainer writes: full weights in safetensors (one file or shards) and PEFT adapters.
Pickled weights are refused.
"""

from overmem.checkpoints.files import fingerprint, weight_files
from overmem.checkpoints.found import MERGE_NOTE, Found, base_path, found_in, tokenizer_at, tokenizer_of
from overmem.checkpoints.skeleton import KEEPS_BASE, Model, Skeleton, check_device

__all__ = [
    "KEEPS_BASE",
    "MERGE_NOTE",
    "Found",
    "Model",
    "Skeleton",
    "base_path",
    "check_device",
    "fingerprint",
    "found_in",
    "tokenizer_at",
    "tokenizer_of",
    "weight_files",
]
