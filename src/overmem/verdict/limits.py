"""The limits of a judgement: when perplexity is costly, accuracy kept, and how often a claim may be wrong."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """When two accuracies are equal, when two perplexities differ, and how often that may be wrong."""

    margin: float
    d_nll: float
    alpha: float
