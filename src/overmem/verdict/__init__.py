"""The rule: from per-example curves to regimes, onset and severity, with error control. Pure."""

from overmem.records import CheckpointVerdict, Curves, Limits
from overmem.verdict.onset import onset
from overmem.verdict.quantities import Quantities, quantities
from overmem.verdict.rule import judge
from overmem.verdict.severity import severity

__all__ = ["Quantities", "judge", "onset", "quantities", "regimes", "severity"]

DEFAULT = Limits()


def regimes(curves: Curves, limits: Limits = DEFAULT, *, seed: int = 0) -> tuple[CheckpointVerdict, ...]:
    """The regime of every checkpoint, with the quantities and the tests that decided it.

    Accuracy is *kept* where a paired test shows it to be no more than the margin below the plateau of the run;
    perplexity is *costly* where a paired test shows it to be more than `d_nll` nats per token above its minimum
    (Holm over checkpoints). Kept and costly is over-memorized; kept and cheap is healthy; lower and earlier than the
    best is under-trained; lower, later and costly is over-fitted; what the examples cannot tell is undecided.
    """
    return judge(quantities(curves, seed=seed), curves.checkpoints, limits)
