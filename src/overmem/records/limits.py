"""The limits of a judgement: when perplexity is costly, when accuracy is kept, and how often a claim may be wrong."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Every judgement of a run, and every comparison of two, is made within these."""

    d_nll: float = 0.05
    """Perplexity is costly when the nll is more than this above its minimum, in nats per token."""
    margin: float = 0.03
    """Accuracy is kept when it is no more than this below the best, as a fraction."""
    alpha: float = 0.05
    """Error rate of each claim; Holm-corrected over checkpoints and over costs."""
