"""Models on disk and in memory: which checkpoints a run has, their order in time, and how their weights are loaded.

Reads what any Hugging Face trainer writes: full weights in safetensors (one file or shards) and PEFT adapters. Pickled
weights are refused.
"""
