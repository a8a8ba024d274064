"""Records of a comparison of two runs."""

from dataclasses import dataclass

from overmem.records.measurements import Estimate
from overmem.records.verdicts import Consequence


@dataclass(frozen=True)
class Pair:
    """A checkpoint of each run, and how they differ on test. The first is RUN_A's; in a contrast, that of lower nll."""

    kinds: tuple[str, ...]
    """Why these two are compared: `recommended`, `last`, `matched`; or `contrast`."""
    first: str
    """RUN/checkpoint."""
    second: str
    accuracy_first: Estimate
    accuracy_second: Estimate
    accuracy: Estimate
    """The second's accuracy minus the first's, paired. With one seed, the interval includes the checkpoints' luck."""
    nll: Estimate
    """The second's nll minus the first's, paired, in nats per token."""
    p_accuracy: float | None
    """Two-sided p of equal accuracies. Like all p here, Holm-adjusted over everything that was tested."""
    p_nll: float | None
    """p of an nll difference within the limit; in a contrast, p of that or of unequal accuracies."""
    p_equivalent: float | None
    """p of an accuracy difference of the margin or more; None in a contrast, where `p_nll` includes it."""
    behaviours: tuple[Consequence, ...] = ()
    """Where the second is worse (positive difference) or better."""

    @property
    def is_contrast(self) -> bool:
        """Whether it was chosen for its different perplexity."""
        return "contrast" in self.kinds


@dataclass(frozen=True)
class OverSeeds:
    """A difference between two runs, over several seeds of each."""

    kind: str
    """Kind of the pairs: `recommended`, `last`, `matched` or `contrast`."""
    name: str
    """`accuracy`, `nll`, `equivalence` (of accuracy, within the margin), or a behaviour, where positive is worse."""
    difference: Estimate
    """The second checkpoint minus the first, with the seed as a random effect; n counts seeds."""
    p: float | None
    """Holm-adjusted over everything that was tested."""
    shown: bool
    """Whether `p` is below the error rate."""
    is_share: bool = True
