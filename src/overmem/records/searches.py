"""The result of a search over merges of one run's checkpoints: the content of `search.json`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from overmem.records.measurements import Estimate
from overmem.records.observations import SCHEMA

SEARCHED = "merged-search-"
"""What the folder of a merge that a search chose on val is named by."""
NOT_MEASURED = Estimate(None, note="not measured")


@dataclass(frozen=True)
class MergeCandidate:
    """One weighting of a run's checkpoints."""

    rule: str
    """What proposed it: pair, uniform, window, wsm, ema, nll, line, base-line, greedy or simplex."""
    label: str
    weights: Mapping[str, float]
    """Checkpoint (or `base`) -> weight; they sum to 1."""
    nll: Estimate
    """On val, in nats per token."""
    accuracy: Estimate = NOT_MEASURED
    """Greedy accuracy on val; only finalists have one."""
    passed: Estimate = NOT_MEASURED
    """pass@k on val; only finalists have one, if the audit drew completions."""


@dataclass(frozen=True)
class LinePoint:
    """One point of the line between two checkpoints."""

    share: float
    """Weight of the second checkpoint."""
    nll: Estimate
    accuracy: Estimate = NOT_MEASURED
    passed: Estimate = NOT_MEASURED
    """pass@k."""
    costs: Mapping[str, Estimate] = field(default_factory=dict)
    """Accuracy on the shifted and out-of-distribution splits."""


@dataclass(frozen=True)
class Updates:
    """How the weight updates of two checkpoints lie to each other: theta - base, or Delta W."""

    cosine: float
    """Of the angle between them."""
    kept: float
    """Size of their mean as a share of their mean size: 1 if they point the same way, 0 if they cancel."""


@dataclass(frozen=True)
class MergeLine:
    """The line between two checkpoints, on val."""

    start: str
    end: str
    points: tuple[LinePoint, ...]
    barrier: Estimate
    """Largest nll above the straight line between the ends, in nats per token; negative: the path is lower."""
    above_ends: Estimate = NOT_MEASURED
    """Nll of the highest point between the ends above the worse end; positive: the ends lie in different basins."""
    updates: Updates | None = None
    """Of the two ends; None if the base's weights are not known."""


@dataclass(frozen=True)
class MergeCost:
    """One cost of over-memorization, of the winner against the best single checkpoint on the same questions."""

    name: str
    """`pass@k`, or the name of a shifted or out-of-distribution split, whose accuracy it is."""
    difference: Estimate
    """Winner minus single checkpoint; positive: the winner has less of the cost."""
    p_as_accurate_with_less: float
    """One-sided, after correction."""


@dataclass(frozen=True)
class MergeConfirmation:
    """The winner against the best single checkpoint, on test questions that chose neither."""

    accuracy: Estimate
    """Accuracy of the winner minus that of the single checkpoint."""
    nll: Estimate
    """The same difference in nats per token."""
    p_more_accurate: float
    """One-sided, after correction for all questions and all winners that were confirmed on these questions."""
    p_as_accurate_at_lower_nll: float
    winners: int
    """Merges that were confirmed on these questions so far, this one included."""
    costs: tuple[MergeCost, ...] = ()


@dataclass(frozen=True)
class MergeSearch:
    """What a search tried, what it chose on val, and whether test confirms it."""

    single: str
    """The best single checkpoint, which a merge must beat."""
    candidates: tuple[MergeCandidate, ...]
    """Everything that was observed, the lowest nll first."""
    picks: Mapping[str, str]
    """Rule -> label of its candidate with the lowest nll on val."""
    winner: MergeCandidate | None
    confirmation: MergeConfirmation | None
    recommended: bool
    reasons: tuple[str, ...]
    """Why it is recommended, or why not."""
    lines: tuple[MergeLine, ...] = ()
    written: str | None = None
    """Folder of the winner; None if it was not written."""
    is_complete: bool = True
    """Whether every candidate was observed before the time was up."""
    draws: int = 0
    """k of pass@k."""
    schema: int = SCHEMA
