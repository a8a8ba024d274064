"""What two recipes differ in over several seeds: every seed is kept, and the seed is a random effect."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt

import numpy as np
from jaxtyping import Float
from scipy.special import stdtr

from overmem import statistics
from overmem.compare.pairs import Tested
from overmem.records import Estimate, Limits
from overmem.records.comparisons import OverSeeds
from overmem.verdict.matching import p_beyond

KINDS = ("recommended", "last", "matched", "contrast")


def over_seeds(seeds: Sequence[Sequence[Tested]], limits: Limits) -> tuple[OverSeeds, ...]:
    """Every difference that all seeds have, over seeds."""
    rows = [row for kind in KINDS for row in _of_kind(kind, seeds, limits)]
    adjusted = statistics.holm([p for _, _, _, p, _ in rows])
    return tuple(
        OverSeeds(kind, name, value, p, p is not None and p < limits.alpha, is_share)
        for (kind, name, value, _, is_share), p in zip(rows, adjusted, strict=True)
    )


def _of_kind(
    kind: str, seeds: Sequence[Sequence[Tested]], limits: Limits
) -> list[tuple[str, str, Estimate, float | None, bool]]:
    found = [next((t for t in seed if kind in t.place.kinds), None) for seed in seeds]
    pairs = [t for t in found if t is not None]
    if len(pairs) < len(seeds):
        return []
    accuracy, nll = (
        _on_these_questions(_over(values), [pair.difference.influence[k] for pair in pairs])
        for k, values in enumerate(
            ([pair.difference.accuracy for pair in pairs], [pair.difference.nll for pair in pairs])
        )
    )
    p_nll, p_equivalent = _p(nll, limits.absolute), _p_within(accuracy, limits.margin)
    if kind == "contrast":
        both = None if p_nll is None or p_equivalent is None else max(p_nll, p_equivalent)
        rows: list[tuple[str, str, Estimate, float | None, bool]] = [(kind, "nll", nll, both, False)]
    else:
        rows = [
            (kind, "accuracy", accuracy, _p(accuracy, 0.0), True),
            (kind, "nll", nll, p_nll, False),
            (kind, "equivalence", accuracy, p_equivalent, True),
        ]
    return rows + [(kind, name, value, _p(value, 0.0), share) for name, (value, share) in _behaviours(pairs).items()]


def _behaviours(pairs: Sequence[Tested]) -> Mapping[str, tuple[Estimate, bool]]:
    """The behaviours that every seed has."""
    by_name = [{c.name: c for c in pair.behaviours} for pair in pairs]
    return {
        name: (_over([seed[name].worse for seed in by_name]), first.is_share)
        for name, first in by_name[0].items()
        if all(name in seed for seed in by_name)
    }


def _over(values: Sequence[Estimate]) -> Estimate:
    measured = [
        (v.value, stderr)
        for v in values
        if v.value is not None and v.low is not None and (stderr := statistics.stderr_of(v)) is not None
    ]
    if len(measured) < len(values):
        return Estimate(None, n=len(values), note="not measured in every seed")
    return statistics.across_seeds([value for value, _ in measured], [stderr for _, stderr in measured])


def _on_these_questions(over: Estimate, influences: Sequence[Float[np.ndarray, " questions"]]) -> Estimate:
    """The interval no narrower than the questions allow, which all seeds share: more seeds are not more questions."""
    if over.value is None or over.stderr is None or len({len(i) for i in influences}) > 1:
        return over
    shared = np.mean(influences, axis=0)
    questions = sqrt(float(shared @ shared) * len(shared) / max(len(shared) - 1, 1))
    half = max(statistics.quantile(0.975, over.n) * over.stderr, statistics.quantile(0.975, len(shared)) * questions)
    stderr = half / statistics.quantile(0.975, over.n)
    return replace(over, low=over.value - half, high=over.value + half, stderr=stderr)


def _p(difference: Estimate, limit: float) -> float | None:
    if difference.value is None or difference.stderr is None:
        return None
    return p_beyond(difference.value, difference.stderr, limit, difference.n)


def _p_within(difference: Estimate, margin: float) -> float | None:
    """P that the difference is the margin or more in either direction, over seeds."""
    if difference.value is None or not difference.stderr:
        return None
    return float(stdtr(max(difference.n - 1, 1), -(margin - abs(difference.value)) / difference.stderr))
