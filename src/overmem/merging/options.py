"""What to merge: the options of `merge`, read without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from overmem.tables import NamedIn


@dataclass(frozen=True)
class Merge:
    """What to merge, and how."""

    run: str
    """Run directory: checkpoint-<step> folders, full weights or LoRA adapters."""
    checkpoints: tuple[str, ...] = ()
    """Folder names, or `base`; by default the paper's pair: the verdict's recommended checkpoint and the last one."""
    rule: Annotated[str, NamedIn("overmem.rules:RULES")] = "linear"
    """Merge rule."""
    weights: tuple[float, ...] | None = None
    """One weight per checkpoint, in the same order; equal by default."""
    knobs: Mapping[str, float] = field(default_factory=dict)
    """Further keyword arguments of the rule."""
    rank: int | None = None
    """Of a merged LoRA adapter: factorise its weight update again at this rank; what that leaves out is printed. By
    default the sum of the sources' ranks, which is exact. Rules that are not linear need it to merge adapters."""
    name: str | None = None
    """Name of the folder to write, which must start with merged-. By default merged-<rule>-<steps>."""
    dtype: Literal["source", "float32", "bfloat16", "float16"] = "source"
    """Floating type of the result; `source` is that of the last checkpoint. Sums are computed in float32 at least."""
    base: str | None = None
    """Base model, for rules that need it; by default the one that the recipe or the adapter names."""
    shard_bytes: int = 5_000_000_000
    """Largest weight file, in bytes; larger models are written as shards with an index."""
    out: str | None = None
    """Folder of overmem's own files; by default RUN/overmem."""
    search: bool = False
    """Search for the best merge of an audited run: many weightings are observed in memory, the winner is chosen on val,
    confirmed on test, and written only if it is shown to be better than the best single checkpoint."""
    minutes: float | None = None
    """With --search: stop trying candidates in time for this many minutes in all. A later search goes on."""
    finalists: int = 6
    """With --search: how many candidates answer the val questions, the lowest nll of each rule first."""
    path: bool = True
    """With --search: let the points between the best checkpoint and the last answer questions too, for the report."""
    device: str = "auto"
    """With --search: cpu, cuda, cuda:1, mps; auto takes a GPU if there is one."""
    run_code: bool = False
    """With --search: run the programs in completions of `kind: code`, in a sandbox."""
