"""Models on disk and in memory: the checkpoints of a run in time order, and loading their weights.

Reads what any Hugging Face trainer writes: full weights in safetensors (one file or shards) and PEFT adapters. Pickled
weights are refused.
"""
