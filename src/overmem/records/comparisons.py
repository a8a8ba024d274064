"""What a comparison of two runs consists of."""

from dataclasses import dataclass

from overmem.records.measurements import Estimate
from overmem.records.verdicts import Consequence


@dataclass(frozen=True)
class Pair:
    """A checkpoint of each run, and how they differ on test. The first is RUN_A's; in a contrast, that of lower nll."""

    kinds: tuple[str, ...]
    """Why these two: `recommended`, `last`, `matched`; or `contrast`."""
    first: str
    """RUN/checkpoint."""
    second: str
    accuracy_first: Estimate
    accuracy_second: Estimate
    accuracy: Estimate
    """Of the second minus the first, paired; with one seed the luck of checkpoints is in the interval."""
    nll: Estimate
    """Likewise, in nats per token."""
    p_accuracy: float | None
    """Two-sided, that the accuracies are equal; Holm-adjusted, as all p here, over everything that was tested."""
    p_nll: float | None
    """That the nll differ by no more than the limit. Of a contrast: of that, or that the accuracies are not equal."""
    p_equivalent: float | None
    """That the accuracies differ by the margin or more; None of a contrast, where `p_nll` has it."""
    behaviours: tuple[Consequence, ...] = ()
    """What the second does worse (positive) or better."""

    @property
    def is_contrast(self) -> bool:
        """Whether it was chosen for its different perplexity."""
        return "contrast" in self.kinds


@dataclass(frozen=True)
class OverSeeds:
    """One difference over seeds."""

    kind: str
    """Of the pairs: `recommended`, `last`, `matched` or `contrast`."""
    name: str
    """`accuracy`, `nll`, `equivalence` (of accuracy, within the margin), or a behaviour, where positive is worse."""
    difference: Estimate
    """The second minus the first checkpoint, the seed as a random effect; n counts seeds."""
    p: float | None
    """Holm-adjusted over everything that was tested."""
    shown: bool
    """Whether `p` is below the error rate."""
    is_share: bool = True
