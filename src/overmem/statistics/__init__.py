"""Intervals, paired differences, tests, multiple testing and the bootstrap.

Functions return values, never sentences. scipy is used where it has the method; what is implemented here is paired,
clustered or vectorised in a way that scipy's methods are not.
"""

from overmem.statistics.bootstrap import bootstrap_weights, percentiles
from overmem.statistics.combine import across_seeds, difference, mean_of_independent, p_across_seeds
from overmem.statistics.intervals import (
    Z,
    exponential,
    fraction,
    fraction_mean,
    mean,
    negated,
    quantile,
    ratio,
    ratio_stderr,
    share,
    stderr_of,
    student,
    wilson,
)
from overmem.statistics.paired import mean_difference, newcombe, ratio_difference, share_difference, tango
from overmem.statistics.tests import (
    detectable,
    examples_needed,
    holm,
    least_stderr,
    mcnemar,
    noninferior,
    p_of_interval,
    tail,
)

__all__ = [
    "Z",
    "across_seeds",
    "bootstrap_weights",
    "detectable",
    "difference",
    "examples_needed",
    "exponential",
    "fraction",
    "fraction_mean",
    "holm",
    "least_stderr",
    "mcnemar",
    "mean",
    "mean_difference",
    "mean_of_independent",
    "negated",
    "newcombe",
    "noninferior",
    "p_across_seeds",
    "p_of_interval",
    "percentiles",
    "quantile",
    "ratio",
    "ratio_difference",
    "ratio_stderr",
    "share",
    "share_difference",
    "stderr_of",
    "student",
    "tail",
    "tango",
    "wilson",
]
