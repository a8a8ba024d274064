"""The pairs of checkpoints that are compared, with p values corrected over all tests of all pairs."""

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
    """A pair of checkpoints with uncorrected p values."""

    place: Place
    first: str
    second: str
    accuracies: tuple[Estimate, Estimate]
    difference: Difference
    behaviours: tuple[Comparison, ...] = field(default_factory=tuple)

    @property
    def is_contrast(self) -> bool:
        """Whether it was chosen because its perplexities differ at equal accuracy."""
        return "contrast" in self.place.kinds

    def uncorrected_p(self) -> Iterator[float | None]:
        """Every p in a fixed order: accuracy, nll, equivalence, behaviours; None for what is not tested."""
        d = self.difference
        if self.is_contrast:
            yield from (None, max(d.p_nll, d.p_equivalent), None)
        else:
            yield from (d.p_accuracy, d.p_nll, d.p_equivalent)
        yield from (c.p for c in self.behaviours)


def tested(a: Side, b: Side, limits: Limits, contrasts: int, *, with_luck: bool) -> tuple[Tested, ...]:
    """The pairs chosen on val, compared on test.

    Args:
        a: RUN_A.
        b: RUN_B.
        limits: margin, and the nll that matters.
        contrasts: number of pairs of equal accuracy and different perplexity, at most.
        with_luck: include in the intervals that equally good checkpoints vary; with several seeds, their scatter does.
    """
    if a.val is None or b.val is None:
        chosen: tuple[Place, ...] = (Place(("last",), len(a.test.checkpoints) - 1, len(b.test.checkpoints) - 1),)
    else:
        chosen = places(a.val, b.val, limits, contrasts, resamples=RESAMPLES if with_luck else 0)
    lucks = tuple(run_luck(side.val or side.test) if with_luck else NO_LUCK for side in (a, b))
    return tuple(
        _tested(place, a, b, difference_of(place, a.test, b.test, limits, (lucks[0], lucks[1]))) for place in chosen
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


def corrected(pairs: Sequence[Tested], alpha: float) -> tuple[Pair, ...]:
    """The pairs with p Holm-adjusted over all tests of all pairs."""
    raw = [list(pair.uncorrected_p()) for pair in pairs]
    adjusted = iter(statistics.holm([p for row in raw for p in row]))
    return tuple(_pair(pair, [next(adjusted) for _ in row], alpha) for pair, row in zip(pairs, raw, strict=True))


def without_p(pairs: Sequence[Tested]) -> tuple[Pair, ...]:
    """The pairs of one seed among several, without p because nothing is claimed about a single seed."""
    return tuple(_pair(pair, [None] * len(list(pair.uncorrected_p())), 0.0) for pair in pairs)


def _pair(pair: Tested, p: Sequence[float | None], alpha: float) -> Pair:
    first, second = pair.accuracies
    p_accuracy, p_nll, p_equivalent, *others = p
    return Pair(
        kinds=pair.place.kinds,
        first=pair.first,
        second=pair.second,
        accuracy_first=first,
        accuracy_second=second,
        accuracy=pair.difference.accuracy,
        nll=pair.difference.nll,
        p_accuracy=p_accuracy,
        p_nll=p_nll,
        p_equivalent=p_equivalent,
        behaviours=tuple(consequence(c, pair.second, q, alpha) for c, q in zip(pair.behaviours, others, strict=True)),
    )
