"""What to merge: the options of `merge`, read without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Merge:
    """What to merge, and how."""

    run: str
    """Run directory: checkpoint-<step> folders, full weights or LoRA adapters."""
    checkpoints: tuple[str, ...] = ()
    """Folder names, or `base`; by default the paper's pair: the verdict's recommended checkpoint and the last one."""
    rule: str = "linear"
    """Merge rule: a name of the family, or "module:function"."""
    weights: tuple[float, ...] | None = None
    """One number a checkpoint, in their order; by default equal ones."""
    knobs: Mapping[str, float] = field(default_factory=dict)
    """Further keyword arguments of the rule."""
    name: str | None = None
    """Folder to write, beginning with merged-; by default merged-<rule>-<steps>."""
    dtype: Literal["source", "float32", "bfloat16", "float16"] = "source"
    """Floating type of the result; source is that of the last checkpoint. Sums are made in float32 in any case."""
    base: str | None = None
    """Base model, for rules that need it; by default the recipe's or the adapter's own."""
    shard_bytes: int = 5_000_000_000
    """Largest weight file; bigger models are written as shards with an index."""
    out: str | None = None
    """Where overmem's own files are; by default RUN/overmem."""
