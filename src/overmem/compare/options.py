"""The options of `overmem compare`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Compare:
    """Which two runs to compare, and within which limits."""

    run_a: str
    """Audited run directory."""
    run_b: str
    """Another audited run directory, on the same examples and with the same tokenizer."""
    seeds_a: tuple[str, ...] = ()
    """Runs of the same recipe as RUN_A with other seeds, to distinguish differences from luck."""
    seeds_b: tuple[str, ...] = ()
    """Runs of the same recipe as RUN_B, as many and with the seeds in the same order."""
    split: str = "test"
    """Split on which accuracy and perplexity are compared; the checkpoints to compare are chosen on val."""
    margin: float = 0.03
    """Two accuracies are equal when their difference is shown to be smaller than this, as a fraction."""
    d_nll: float = 0.05
    """Two perplexities differ when their nll is shown to differ by more than this, in nats per token."""
    alpha: float = 0.05
    """Error rate, Holm-corrected over everything that is tested."""
    pairs: int = 1
    """Number of contrasts at most: pairs of checkpoints of equal accuracy and the most different perplexity, chosen on
    val. Each adds tests to the correction."""
    out_a: str | None = None
    """Where overmem's files of RUN_A are; by default RUN_A/overmem."""
    out_b: str | None = None
    """Where overmem's files of RUN_B are; by default RUN_B/overmem."""
