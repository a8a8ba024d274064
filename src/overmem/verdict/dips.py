"""Dips: checkpoints that are less accurate than those before **and** after them. What comes back is no decline.

A dip is shown where both differences are (an intersection of two tests, so neither pays for the other), at a level
that pays for all stretches in which one is looked for. After the last checkpoints nothing comes: a sudden fall there is
open, one that goes on from an earlier fall is a decline.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.special import stdtr

from overmem import statistics
from overmem.records import Estimate
from overmem.verdict.windows import unit

WIDEST = 3
"""Blocks of the widest dip that is looked for; a longer one is a stretch of the run."""
AROUND = 2
"""Blocks on either side that a dip is compared with."""
FEWEST = 4
"""Checkpoints of the shortest run in which a dip is looked for."""


@dataclass(frozen=True)
class Dip:
    """A fall of accuracy over a few neighbouring checkpoints. `first` and `last` are places among the judged ones."""

    first: int
    last: int
    accuracy: float
    before: float
    """Accuracy of the checkpoints before it."""
    after: float | None
    """Accuracy of those after it; None at the end of the run, where it may be the beginning of a decline."""
    loss: Estimate
    """Accuracy around it minus its own."""
    checkpoints: tuple[str, ...] = ()
    """Their names; empty before they are known."""

    def named(self, names: Sequence[str]) -> "Dip":
        """The same, with the names of its checkpoints, from those of all judged ones."""
        return replace(self, checkpoints=tuple(names[self.first : self.last + 1]))


def dips(
    means: Float[np.ndarray, " checkpoints"],
    covariance: Float[np.ndarray, "checkpoints checkpoints"],
    clusters: int,
    margin: float,
    alpha: float = 0.05,
) -> tuple[Dip, ...]:
    """The dips of a run in time order: falls of the margin or more that are shown; the most certain where they overlap.

    Args:
        means: accuracies of the trained checkpoints, in time order.
        covariance: of their sampling errors.
        clusters: independent questions.
        margin: the smallest fall that matters.
        alpha: probability of any dip in a run that has none.
    """
    count = len(means)
    if count < FEWEST or clusters < 2:
        return ()
    places = list(_stretches(count))
    found: list[tuple[float, Dip]] = []
    for first, last in places:
        rows = _contrasts(count, first, last)
        values = rows @ means
        errors = np.sqrt(np.maximum((rows @ covariance * rows).sum(1), 1e-12))
        p = float(stdtr(clusters - 1, -values / errors).max())
        if p < alpha / len(places) and values.min() >= margin and not _is_declining(means, margin, first, last):
            found.append((p, _dip(means, covariance, clusters, rows, first, last)))
    kept: list[Dip] = []
    for _, dip in sorted(found, key=lambda pair: pair[0]):
        if all(dip.last < other.first or dip.first > other.last for other in kept):
            kept.append(dip)
    return tuple(sorted(kept, key=lambda dip: dip.first))


def _stretches(count: int) -> Iterator[tuple[int, int]]:
    """First and last place of every stretch in which a dip is looked for: something must come before it."""
    size = unit(count)
    for blocks in range(1, WIDEST + 1):
        width = blocks * size
        if 3 * width > count:
            return
        for first in range(1, count - width + 1):
            yield first, first + width - 1


def _is_declining(means: np.ndarray, margin: float, first: int, last: int) -> bool:
    """Whether a fall at the end of the run goes on from an earlier one, or is too long for a dip."""
    if last < len(means) - 1:
        return False
    reach = AROUND * unit(len(means))
    windows = [float(means[max(i - reach, 0) : i].mean()) for i in range(min(reach, first), first + 1)]
    return last - first + 1 > unit(len(means)) or windows[-1] < max(windows) - margin


def _contrasts(count: int, first: int, last: int) -> Float[np.ndarray, "sides checkpoints"]:
    """Weights of the checkpoints before the stretch, and of those after it, minus its own."""
    reach = AROUND * unit(count)
    rows = []
    for beside in (slice(max(first - reach, 0), first), slice(last + 1, last + 1 + reach)):
        row = np.zeros(count)
        row[first : last + 1] = -1 / (last - first + 1)
        width = len(row[beside])
        if width:
            row[beside] = 1 / width
            rows.append(row)
    return np.stack(rows)


def _dip(means: np.ndarray, covariance: np.ndarray, clusters: int, rows: np.ndarray, first: int, last: int) -> Dip:
    own = float(means[first : last + 1].mean())
    sides = rows @ means + own
    contrast = rows.mean(0)
    error = float(np.sqrt(contrast @ covariance @ contrast))
    loss = statistics.student(float(contrast @ means), error, clusters)
    return Dip(first, last, own, float(sides[0]), float(sides[1]) if len(rows) > 1 else None, loss)
