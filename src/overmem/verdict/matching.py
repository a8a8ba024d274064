"""Checkpoints of two runs that were matched by accuracy."""

from dataclasses import dataclass

from overmem.records import Consequence, Estimate, Limits


@dataclass(frozen=True)
class Pair:
    """A checkpoint of each run, of equal accuracy, and what else differs. `low` has the lower perplexity."""

    low: str
    """RUN/checkpoint."""
    high: str
    low_run: str
    """`a` or `b`: the run that the checkpoint of lower perplexity is of."""
    accuracy_low: Estimate
    accuracy_high: Estimate
    accuracy_difference: Estimate
    """Of low minus high, paired."""
    p_equivalent: float
    """Holm-adjusted p that the accuracies differ by the margin or more (two one-sided tests)."""
    nll_difference: Estimate
    """Of high minus low, in nats per token, paired."""
    behaviours: tuple[Consequence, ...]
    """What the checkpoint of higher perplexity does worse (positive) or better; Holm-corrected within the pair."""


@dataclass(frozen=True)
class Closest:
    """The two checkpoints whose accuracies lie nearest to each other, where no pair is matched."""

    a: str
    b: str
    gap: float
    """Between their accuracies, as a fraction."""
    n: int
    needed: int | None
    """Examples that would show them to be equal; None where none would."""
    limits: Limits
