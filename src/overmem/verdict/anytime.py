"""A run that is judged while its questions are still being asked: as often as one likes, at one error rate.

Questions come in an order that was drawn beforehand. A sum over them behaves like a Brownian motion in the share of the
questions that were asked, so a test that is looked at all the time errs at most as often as that motion ever crosses
its boundary. The boundary is a straight line for the sum, and lower at the end, where all planned questions are in; by
the reflection principle it is crossed with a probability of exactly alpha. Early looks therefore need strong evidence,
and the last one is nearly as powerful as a single look. Luck of checkpoints only makes it safer: it is the same at
every look.

Source: O'Brien and Fleming 1979, https://doi.org/10.2307/2530245; Lan and DeMets 1983,
https://doi.org/10.1093/biomet/70.3.659 (looks at any time); Waudby-Smith et al. 2021,
https://arxiv.org/abs/2103.06476 (sums that are normal only in the limit).
Differs from the paper: the last look has a boundary of its own.
"""

from functools import lru_cache
from math import exp, sqrt

from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from overmem.verdict.facts import Facts

AT_THE_END = 0.6
"""Share of the error rate that the look at all questions would have alone."""
SLOPE = 0.9
"""Of the line: a rising one stops sooner where the evidence is strong, a level one spares the last looks. This one
stops soonest where all questions would give a z score of about three."""
FEWEST = 100
"""Questions before the first look: with fewer, a sum is not near enough to normal so far out."""
LOOKS = 20
"""Looks at the planned questions, evenly spaced; more would be allowed, and cost loading every checkpoint again."""
LEAST_LEFT = 4
"""Checkpoints that stay in the race whatever they are."""


def level(asked: int, planned: int, alpha: float) -> float:
    """The level of every test at a look after so many questions, so that all looks together err with alpha.

    >>> [round(level(n, 1000, 0.05), 5) for n in (250, 500, 1000)]
    [0.00094, 0.0059, 0.03]
    """
    if asked >= planned:
        return AT_THE_END * alpha
    share = asked / planned
    return float(ndtr(-(_intercept(alpha) + SLOPE * share) / sqrt(share)))


@lru_cache(maxsize=64)
def _intercept(alpha: float) -> float:
    """Where the line begins, so that it or the boundary at the end is crossed with probability alpha.

    A Brownian motion crosses a + bt before 1 and still ends below c with probability exp(-2ab) Phi(c - 2a).
    """
    end = -float(ndtri(AT_THE_END * alpha))

    def excess(a: float) -> float:
        return exp(-2 * a * SLOPE) * float(ndtr(end - 2 * a)) - (1 - AT_THE_END) * alpha

    return float(brentq(excess, 0.0, 10.0))


def looks(planned: int) -> tuple[int, ...]:
    """After how many questions to look, the last time after all.

    >>> looks(400)
    (100, 125, 150, 175, 200, 225, 250, 275, 300, 325, 350, 375, 400)
    """
    step = max(25, planned // LOOKS)
    return (*range(min(FEWEST, planned), planned, step), planned) if planned > FEWEST else (planned,)


def out_of_the_race(facts: Facts, level: float) -> tuple[int, ...]:
    """Rows of the curves of checkpoints that need no more questions: the earliest, shown to be passed.

    Each lies before the trough of perplexity and is shown to be less accurate than a later stretch, and only such came
    before it. So they are neither the plateau nor what the end is compared with.
    """
    held, passed = facts.accuracy, []
    for k, row in enumerate(facts.rows.tolist()[:-LEAST_LEFT]):
        if k >= facts.rise.trough or held.p_lower[k] >= level or held.later[k] <= 0.5:
            break
        passed.append(row)
    return tuple(passed)
