"""What a matched pair shows over several seeds: the seed as a random effect."""

from collections.abc import Sequence

from overmem import statistics
from overmem.records import Estimate
from overmem.verdict.matching import Pair


def across(pairs: Sequence[Pair]) -> dict[str, Estimate]:
    """Every difference (high minus low) that at least two seeds have, over seeds; n counts seeds.

    `accuracy`, `nll` and the names of the behaviours, where positive is worse.
    """
    columns: dict[str, list[Estimate]] = {}
    for pair in pairs:
        columns.setdefault("nll", []).append(pair.nll_difference)
        columns.setdefault("accuracy", []).append(statistics.negated(pair.accuracy_difference))
        for cost in pair.behaviours:
            columns.setdefault(cost.name, []).append(cost.difference)
    return {name: _over(values) for name, values in columns.items() if len(values) > 1}


def _over(values: Sequence[Estimate]) -> Estimate:
    measured = [
        (v.value, (v.high - v.low) / (2 * statistics.Z))
        for v in values
        if v.value is not None and v.low is not None and v.high is not None
    ]
    return statistics.across_seeds([value for value, _ in measured], [stderr for _, stderr in measured])
