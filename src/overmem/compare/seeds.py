"""The differences between two recipes over several seeds, with the seed as a random effect."""

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
    """The mean over seeds of every difference that was measured in all seeds."""
    rows = [row for kind in KINDS for row in _of_kind(kind, seeds, limits)]
    adjusted = statistics.holm([p for _, _, _, p, _ in rows])
    return tuple(
        OverSeeds(kind, name, value, p, p is not None and p < limits.alpha, is_share)
        for (kind, name, value, _, is_share), p in zip(rows, adjusted, strict=True)
    )


def _of_kind(
    kind: str, seeds: Sequence[Sequence[Tested]], limits: Limits
) -> list[tuple[str, str, Estimate, float | None, bool]]:
    pairs = [pair for seed in seeds if (pair := next((t for t in seed if kind in t.place.kinds), None)) is not None]
    if len(pairs) < len(seeds):
        return []
    accuracy, nll = (
        _with_shared_questions(_mean_over_seeds(values), [pair.difference.influence[k] for pair in pairs])
        for k, values in enumerate(
            ([pair.difference.accuracy for pair in pairs], [pair.difference.nll for pair in pairs])
        )
    )
    p_nll, p_equivalent = _p(nll, limits.absolute), _p_within(accuracy, limits.margin)
    if kind == "contrast":
        p_both = None if p_nll is None or p_equivalent is None else max(p_nll, p_equivalent)
        rows: list[tuple[str, str, Estimate, float | None, bool]] = [(kind, "nll", nll, p_both, False)]
    else:
        rows = [
            (kind, "accuracy", accuracy, _p(accuracy, 0.0), True),
            (kind, "nll", nll, p_nll, False),
            (kind, "equivalence", accuracy, p_equivalent, True),
        ]
    return rows + [(kind, name, value, _p(value, 0.0), share) for name, (value, share) in _behaviours(pairs).items()]


def _behaviours(pairs: Sequence[Tested]) -> Mapping[str, tuple[Estimate, bool]]:
    """The behaviours that were measured in every seed."""
    by_name = [{c.name: c for c in pair.behaviours} for pair in pairs]
    return {
        name: (_mean_over_seeds([seed[name].worse for seed in by_name]), first.is_share)
        for name, first in by_name[0].items()
        if all(name in seed for seed in by_name)
    }


def _mean_over_seeds(values: Sequence[Estimate]) -> Estimate:
    measured = [
        (v.value, stderr)
        for v in values
        if v.value is not None and v.low is not None and (stderr := statistics.stderr_of(v)) is not None
    ]
    if len(measured) < len(values):
        return Estimate(None, n=len(values), note="not measured in every seed")
    return statistics.across_seeds([value for value, _ in measured], [stderr for _, stderr in measured])


def _with_shared_questions(over: Estimate, influences: Sequence[Float[np.ndarray, " questions"]]) -> Estimate:
    """The estimate with an interval at least as wide as the sampling error of the questions, which all seeds share."""
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
