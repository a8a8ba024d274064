"""Paired tests, intervals, error control and the bootstrap: what every comparison of two checkpoints rests on.

Values, never sentences. Where scipy has a method it is used; what stands here is paired, clustered or vectorised in a
way that scipy's is not.
"""

from overmem.statistics.bootstrap import bootstrap_weights, percentiles
from overmem.statistics.combine import across_seeds
from overmem.statistics.intervals import (
    Z,
    mean,
    negated,
    paired_shares,
    quantile,
    ratio,
    ratio_stderr,
    share,
    share_difference,
    student,
    wilson,
)
from overmem.statistics.tests import detectable, examples_needed, holm, least_stderr, mcnemar, noninferior, tail

__all__ = [
    "Z",
    "across_seeds",
    "bootstrap_weights",
    "detectable",
    "examples_needed",
    "holm",
    "least_stderr",
    "mcnemar",
    "mean",
    "negated",
    "noninferior",
    "paired_shares",
    "percentiles",
    "quantile",
    "ratio",
    "ratio_stderr",
    "share",
    "share_difference",
    "student",
    "tail",
    "wilson",
]
