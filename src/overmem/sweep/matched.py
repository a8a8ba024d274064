"""Costs at matched accuracy: between checkpoints of two conditions that are equally accurate and differ in perplexity.

The control for "epoch 3 against epoch 10 of one run": a small learning rate for long against a large one for a short
time, say. `compare` chooses them on val, within a seed; on test, what the checkpoint of higher perplexity does worse is
averaged within the seed and then over seeds.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import sqrt
from typing import Any

import numpy as np
import polars as pl

from overmem import statistics
from overmem.compare.options import Compare
from overmem.compare.verb import compare
from overmem.errors import BadRequest
from overmem.records import Estimate
from overmem.records.comparisons import Pair
from overmem.sweep.conditions import PlannedRun


@dataclass(frozen=True)
class MatchedCost:
    """One quantity: the checkpoint of higher perplexity minus that of lower, at matched accuracy, over all pairs."""

    name: str
    is_share: bool
    difference: Estimate
    """Positive is worse, but for `accuracy` and `nll`, which are plain differences. n counts seeds."""
    pairs: int
    p: float | None = None
    """Two-sided, Holm-corrected over the costs; None with one seed, and for what the pairs were matched by."""


_MATCHED_BY = ("accuracy", "nll per token")


def matched_rows(runs: Sequence[PlannedRun]) -> Iterator[tuple[PlannedRun, dict[str, Any]]]:
    """Rows of the table for the contrast between every two conditions of a seed."""
    for seed in dict.fromkeys(run.seed for run in runs):
        same_seed = [run for run in runs if run.seed == seed]
        for a, b in combinations(same_seed, 2):
            for pair in _pairs(a, b):
                if pair.is_contrast:
                    yield from ((b if pair.second.startswith(f"{b.name}/") else a, row) for row in _rows(pair))


def _pairs(a: PlannedRun, b: PlannedRun) -> tuple[Pair, ...]:
    """None where the two cannot be compared: other tokenizers or problems, or the same in every number."""
    try:
        return compare(Compare(str(a.root), str(b.root))).pairs
    except BadRequest:
        return ()


def _rows(pair: Pair) -> Iterator[dict[str, Any]]:
    """The pair's differences: the checkpoint of higher nll minus that of lower."""
    differences = {
        "accuracy": (pair.accuracy, True),
        "nll per token": (pair.nll, False),
    } | {cost.name: (cost.difference, cost.is_share) for cost in pair.behaviours}
    for name, (difference, is_share) in differences.items():
        numbers = {k: getattr(difference, k) for k in ("value", "stderr", "low", "high", "n", "note")}
        at = {"low": pair.first, "high": pair.second, "points": int(is_share)}
        yield numbers | {
            "checkpoint": pair.second.rpartition("/")[2],
            "split": "test",
            "probe": "matched",
            "metric": name,
            "regime": "",
            "at": json.dumps(at, sort_keys=True),
        }


def matched_costs(table: pl.DataFrame) -> list[MatchedCost]:
    """Every quantity over the matched pairs of all seeds."""
    rows = table.filter((pl.col("probe") == "matched") & pl.col("value").is_not_null())
    costs = [_over_seeds(str(name), group) for (name,), group in rows.group_by("metric", maintain_order=True)]
    is_tested = [c.name not in _MATCHED_BY for c in costs]
    p = [statistics.p_across_seeds(c.difference) if t else None for c, t in zip(costs, is_tested, strict=True)]
    return [replace(cost, p=value) for cost, value in zip(costs, statistics.holm(p), strict=True)]


def _over_seeds(name: str, rows: pl.DataFrame) -> MatchedCost:
    values, errors = [], []
    for _, group in rows.group_by("seed", maintain_order=True):
        values.append(float(np.mean(group["value"].to_numpy())))
        errors.append(sqrt(float(np.mean([_stderr(row) ** 2 for row in group.iter_rows(named=True)]))))
    is_share = bool(json.loads(rows["at"][0])["points"])
    return MatchedCost(name, is_share, statistics.across_seeds(values, errors), len(rows))


def _stderr(row: Mapping[str, Any]) -> float:
    if row["stderr"] is not None:
        return float(row["stderr"])
    return 0.0 if row["low"] is None or row["high"] is None else (row["high"] - row["low"]) / (2 * statistics.Z)
