"""Two, three and five seeds: how often an interval over seeds holds the truth."""

from collections.abc import Callable, Mapping, Sequence
from math import sqrt

import numpy as np
from jaxtyping import Float

from overmem import statistics
from overmem.records import Estimate
from overmem.seeds import generator
from studies.page import table
from studies.promises import shown

SEEDS = (2, 3, 5)
LUCKS = (0.0, 0.01, 0.02, 0.04)
"""Standard deviation of a difference from seed to seed, as a fraction of 1."""
WITHIN = 0.01
"""Standard error of the difference in one run, as far as questions are the cause of it."""


def plain_t(values: Float[np.ndarray, " seeds"], stderrs: Float[np.ndarray, " seeds"]) -> Estimate:
    """Student's interval of the seeds' values, ignoring their own errors."""
    return statistics.student(float(values.mean()), float(values.std(ddof=1)) / sqrt(len(values)), len(values))


def pooled(values: Float[np.ndarray, " seeds"], stderrs: Float[np.ndarray, " seeds"]) -> Estimate:
    """All seeds' questions as one sample: the seed is no cluster."""
    half = statistics.Z * float(np.sqrt((stderrs**2).sum())) / len(values)
    return Estimate(float(values.mean()), float(values.mean()) - half, float(values.mean()) + half, len(values))


METHODS: Mapping[str, Callable[[np.ndarray, np.ndarray], Estimate]] = {
    "overmem (Hartung-Knapp-Sidik-Jonkman)": lambda v, s: statistics.across_seeds(list(v), list(s)),
    "Student's t of the seeds": plain_t,
    "seeds pooled": pooled,
}


def coverage(method: str, seeds: int, luck: float, runs: int, *, uneven: bool = False) -> tuple[Estimate, float]:
    """Share of intervals that hold a true difference of 0, and their median width."""
    rng = generator("seeds", seeds, luck, uneven)
    covered, widths = 0, []
    for _ in range(runs):
        stderrs = WITHIN * (rng.uniform(0.5, 2.0, seeds) if uneven else np.ones(seeds))
        values = luck * rng.standard_normal(seeds) + stderrs * rng.standard_normal(seeds)
        result = METHODS[method](values, stderrs)
        low, high = result.low or 0.0, result.high or 0.0
        covered += low <= 0.0 <= high
        widths.append(high - low)
    return statistics.share(covered, runs), float(np.median(widths))


def coverage_table(runs: int, seeds: Sequence[int] = SEEDS) -> str:
    """Coverage of every method, for every number of seeds and every luck."""
    rows = []
    for count in seeds:
        for luck in LUCKS:
            for method in METHODS:
                covered, width = coverage(method, count, luck, runs)
                uneven, _ = coverage(method, count, luck, runs, uneven=True)
                rows.append(
                    (count, f"{100 * luck:g}", method, runs, shown(covered), shown(uneven), f"{100 * width:.1f}")
                )
    head = (
        "seeds",
        "luck, points",
        "interval",
        "runs",
        "holds the truth, %",
        "the same, runs of unequal size, %",
        "median width, points",
    )
    return table(head, rows)
