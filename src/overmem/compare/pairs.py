"""Every pair of checkpoints that is compared, and what is shown about it: one correction over all that was tested."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from overmem import statistics
from overmem.compare.sides import Side
from overmem.probes.consequences import comparisons, consequence
from overmem.probes.probe import Comparison
from overmem.records import Estimate, Limits
from overmem.records.comparisons import Pair
from overmem.verdict.matching import NO_LUCK, RESAMPLES, Difference, Place, difference_of, places, run_luck


@dataclass(frozen=True)
class Tested:
    """A pair with its p as they come."""

    place: Place
    first: str
    second: str
    accuracies: tuple[Estimate, Estimate]
    difference: Difference
    behaviours: tuple[Comparison, ...] = field(default_factory=tuple)

    @property
    def is_contrast(self) -> bool:
        """Whether it was chosen for its different perplexity."""
        return "contrast" in self.place.kinds

    def raw(self) -> Iterator[float | None]:
        """Every p that counts, in a fixed order: accuracy, nll, equivalence, behaviours."""
        d = self.difference
        if self.is_contrast:
            yield from (None, max(d.p_nll, d.p_equivalent), None)
        else:
            yield from (d.p_accuracy, d.p_nll, d.p_equivalent)
        yield from (c.p for c in self.behaviours)


def tested(a: Side, b: Side, limits: Limits, contrasts: int, *, with_luck: bool) -> tuple[Tested, ...]:
    """The pairs that are chosen on val, measured on test.

    Args:
        a: RUN_A.
        b: RUN_B.
        limits: margin, and the nll that matters.
        contrasts: pairs of equal accuracy and different perplexity, at most.
        with_luck: price the luck of checkpoints and of the choice, which several seeds show by themselves.
    """
    if a.val is None or b.val is None:
        wanted: tuple[Place, ...] = (Place(("last",), len(a.test.checkpoints) - 1, len(b.test.checkpoints) - 1),)
    else:
        wanted = places(a.val, b.val, limits, contrasts, resamples=RESAMPLES if with_luck else 0)
    lucks = tuple(run_luck(side.val or side.test) if with_luck else NO_LUCK for side in (a, b))
    return tuple(
        _tested(place, a, b, difference_of(place, a.test, b.test, limits, (lucks[0], lucks[1]))) for place in wanted
    )


def _tested(place: Place, a: Side, b: Side, difference: Difference) -> Tested:
    pair = [(a, place.a), (b, place.b)]
    (first, i), (second, j) = pair if place.first == "a" else pair[::-1]
    return Tested(
        place,
        first.label(i),
        second.label(j),
        (_accuracy(first, i), _accuracy(second, j)),
        difference,
        tuple(comparisons(first.snapshot(i), second.snapshot(j), base=first.base)),
    )


def _accuracy(side: Side, row: int) -> Estimate:
    right = side.test.correct[row]
    return statistics.share(float(right.sum()), len(right))


def corrected(found: Sequence[Tested], alpha: float) -> tuple[Pair, ...]:
    """The pairs with p Holm-adjusted over everything that was tested of all of them."""
    raw = [list(t.raw()) for t in found]
    adjusted = iter(statistics.holm([p for row in raw for p in row]))
    return tuple(_pair(t, [next(adjusted) for _ in row], alpha) for t, row in zip(found, raw, strict=True))


def uncorrected(found: Sequence[Tested]) -> tuple[Pair, ...]:
    """The pairs of one seed among several, without p because nothing is claimed of them."""
    return tuple(_pair(t, [None] * len(list(t.raw())), 0.0) for t in found)


def _pair(found: Tested, p: Sequence[float | None], alpha: float) -> Pair:
    first, second = found.accuracies
    p_accuracy, p_nll, p_equivalent, *others = p
    return Pair(
        kinds=found.place.kinds,
        first=found.first,
        second=found.second,
        accuracy_first=first,
        accuracy_second=second,
        accuracy=found.difference.accuracy,
        nll=found.difference.nll,
        p_accuracy=p_accuracy,
        p_nll=p_nll,
        p_equivalent=p_equivalent,
        behaviours=tuple(consequence(c, found.second, q, alpha) for c, q in zip(found.behaviours, others, strict=True)),
    )
