"""Merge checkpoints of one run: full weights tensor by tensor, LoRA adapters by exact sums of their weight updates."""
