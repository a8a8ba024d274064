"""Costs at matched accuracy: between checkpoints of two conditions that are equally accurate and differ in perplexity.

A control for comparing epoch 3 with epoch 10 of one run: for example, a small learning rate for many epochs against a
large one for few. `compare` chooses the pairs on val, within a seed; their differences on test are averaged within the
seed and then over seeds.
"""

import json
from dataclasses import dataclass, replace

import polars as pl

from overmem import statistics
from overmem.records import Estimate
from overmem.sweep.outcomes import across_seeds, bounded, outcome_of_row, per_seed


@dataclass(frozen=True)
class MatchedCost:
    """One quantity: the checkpoint of higher perplexity minus that of lower, at matched accuracy, over all pairs."""

    name: str
    is_share: bool
    difference: Estimate
    """Positive is worse, except for `accuracy` and `nll per token`, plain differences. n is the number of seeds."""
    pairs: int
    p: float | None = None
    """Two-sided, Holm-corrected over the costs; None with one seed, and for what the pairs were matched on."""


_MATCHED_ON = ("accuracy", "nll per token")


def matched_costs(table: pl.DataFrame) -> list[MatchedCost]:
    """Every quantity over the matched pairs of all seeds."""
    rows = table.filter((pl.col("probe") == "matched") & pl.col("value").is_not_null())
    costs = [_over_seeds(str(name), group) for (name,), group in rows.group_by("metric", maintain_order=True)]
    is_tested = [c.name not in _MATCHED_ON for c in costs]
    p = [statistics.p_across_seeds(c.difference) if t else None for c, t in zip(costs, is_tested, strict=True)]
    return [
        replace(c, p=value, difference=bounded(c.difference) if c.is_share else c.difference)
        for c, value in zip(costs, statistics.holm(p), strict=True)
    ]


def _over_seeds(name: str, rows: pl.DataFrame) -> MatchedCost:
    numbers = per_seed((row["seed"], outcome_of_row(row)) for row in rows.iter_rows(named=True))
    is_share = bool(json.loads(rows["at"][0])["points"])
    return MatchedCost(name, is_share, across_seeds(numbers), len(rows))
