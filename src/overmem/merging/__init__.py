"""Merge checkpoints of one run: full weights tensor by tensor, adapters exactly in Delta W."""
