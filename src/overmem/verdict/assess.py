"""What is known of a run when it is put into words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from overmem.records import CheckpointVerdict, Choice, Consequence, Estimate


@dataclass(frozen=True)
class Assessment:
    """Everything that the headline and the sentences are made from."""

    verdicts: tuple[CheckpointVerdict, ...]
    onset: Mapping[str, Any] = field(default_factory=dict)
    severity: Mapping[str, Any] = field(default_factory=dict)
    recommended: Choice | None = None
    choices: tuple[Choice, ...] = ()
    costs: tuple[Consequence, ...] = ()
    beside: str | None = None
    """What the costs are measured against."""
    late: str | None = None
    """The last over-memorized checkpoint: that of the severity and the costs."""
    minimum: str | None = None
    """The checkpoint of lowest perplexity: what the severity is counted from."""
    tested: bool = False
    """Severity and choices were confirmed on test."""
    over_base: Estimate | None = None
    """Accuracy of the recommended checkpoint minus that of the base model, paired, where both were measured."""
    mismatch: str = ""
    """Why val and train are taken not to be one distribution; empty where they are."""

    @cached_property
    def trained(self) -> tuple[CheckpointVerdict, ...]:
        """The trained checkpoints in time order: neither the base nor a merge."""
        return tuple(v for v in self.verdicts if v.checkpoint.step > 0 and not v.checkpoint.merged_from)

    @cached_property
    def regimes(self) -> Mapping[str, str]:
        """Checkpoint -> its regime."""
        return {v.checkpoint.name: v.regime for v in self.verdicts}

    @property
    def shipped(self) -> str:
        """The recommended checkpoint; empty where there is none."""
        return (self.recommended.checkpoint or "") if self.recommended is not None else ""

    @property
    def healthy(self) -> Choice | None:
        """The most accurate healthy checkpoint, where another one is recommended."""
        return next((c for c in self.choices if c.rule == "healthy"), None)

    @property
    def regime(self) -> str:
        """Of the run: that of its last trained checkpoint, with `signature only` where no cost is confirmed."""
        last = self.trained[-1].regime if self.trained else "undecided"
        if last == "over-memorized" and not any(c.confirmed for c in self.costs):
            return "over-memorized (signature only)"
        return last
