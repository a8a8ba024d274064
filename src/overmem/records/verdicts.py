"""The judgement of a run, of its checkpoints and of the choices among them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from overmem.records.measurements import Estimate
from overmem.records.observations import SCHEMA, Checkpoint


@dataclass(frozen=True)
class CheckpointVerdict:
    """The regime of one checkpoint and every quantity that decided it."""

    checkpoint: Checkpoint
    regime: str
    """under-trained, healthy, over-memorized, over-fitted, or undecided."""
    nll: Estimate
    accuracy: Estimate
    excess: Estimate
    """E(c): nats per token above the perplexity minimum."""
    accuracy_gap: Estimate
    """A(c) minus the reference accuracy."""
    p_costly: float | None
    """One-sided p, Holm-adjusted over checkpoints, of `excess <= d_nll`."""
    p_kept: float | None
    """One-sided p of `accuracy_gap <= -margin`, adjusted for a reference that was learned from the same run."""
    reason: str
    """The decision in one sentence."""
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """What one selection rule picks on `val`, and what that is worth on `test`."""

    rule: str
    checkpoint: str | None
    accuracy: Estimate
    nll: Estimate
    regret: Estimate
    """Test accuracy of the recommended checkpoint minus that of this choice (paired); positive: this choice costs."""
    reason: str = ""

    @property
    def is_confirmed(self) -> bool:
        """Whether its accuracy is on examples that had no part in the choice."""
        return self.accuracy.value is not None and not self.accuracy.note


@dataclass(frozen=True)
class Consequence:
    """One consequence of over-memorization, measured against the recommended checkpoint."""

    name: str
    """`robustness (<shift>)`, `ood-<name>`, `pass@k`, ...: as the probe names it."""
    checkpoint: str
    difference: Estimate
    """In the metric's own unit; positive is worse."""
    p: float | None
    """Two-sided, Holm-adjusted over all costs."""
    confirmed: bool
    sentence: str = "it is worse by {}"
    """What the difference says; `{}` takes its size."""
    is_share: bool = False
    """Whether it is a difference of shares, shown in points; else it has a unit of its own."""


@dataclass(frozen=True)
class Verdict:
    """The answer: which regime, since when, how bad, what to ship."""

    regime: str
    """Of the run: that of its last trained checkpoint, with `signature only` where no cost is confirmed."""
    headline: str
    sentences: tuple[str, ...]
    checkpoints: tuple[CheckpointVerdict, ...]
    onset: Mapping[str, Any]
    """`checkpoint`, `step`, `epoch`, `cumulative_lr` with `low`/`high` each, or {} where there is none."""
    severity: Mapping[str, Any]
    """`excess`, `scale_share`, `agree_share` as Estimate of the last over-memorized checkpoint, or {}."""
    recommended: Choice | None
    choices: tuple[Choice, ...]
    costs: tuple[Consequence, ...] = ()
    warnings: tuple[str, ...] = ()
    evidence: str = "observations"
    """`observations`, or `curves only` where no model was at hand."""
    knobs: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA
