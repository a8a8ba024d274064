"""Estimates of several runs combined, the run as a random effect."""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from overmem.records import Estimate


def across_seeds(values: Sequence[float], stderrs: Sequence[float]) -> Estimate:
    """The mean over runs that differ in their seed, the seed being a random effect, with a 95% interval.

    Random-effects mean with Paule and Mandel's variance between runs and Hartung, Knapp, Sidik and Jonkman's t
    interval, never narrower than its examples alone allow, as runs that agree by luck would make it (Knapp and
    Hartung's modification); one run has no interval, because it says nothing about another seed. n counts runs.
    """
    if not values:
        return Estimate(None, note="no runs")
    if len(values) == 1:
        return Estimate(float(values[0]), n=1, note="one seed: no interval over seeds")
    from statsmodels.stats.meta_analysis import combine_effects

    variances = np.maximum(np.square(np.asarray(stderrs, float)), 1e-12)
    found = combine_effects(np.asarray(values, float), variances, method_re="iterated", use_t=True)
    value, spread = float(found.mean_effect_re), max(float(found.sd_eff_w_re_hksj), float(found.sd_eff_w_re))
    half = float(stdtrit(len(values) - 1, 0.975)) * spread
    return Estimate(value, value - half, value + half, len(values))
