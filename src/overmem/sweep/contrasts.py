"""Contrasts between the conditions of a seed, as rows of the sweep's table.

A contrast is a pair of checkpoints of two conditions that are equally accurate on val but differ in perplexity, as
chosen by `compare`. The rows have their differences on test.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from overmem.compare.options import Compare
from overmem.compare.verb import compare
from overmem.errors import BadRequest
from overmem.records.comparisons import Pair
from overmem.sweep.conditions import PlannedRun


def matched_rows(runs: Sequence[PlannedRun]) -> Iterator[tuple[PlannedRun, dict[str, Any]]]:
    """Rows of the table for the contrast between every two conditions of a seed."""
    for seed in dict.fromkeys(run.seed for run in runs):
        same_seed = [run for run in runs if run.seed == seed]
        for a, b in combinations(same_seed, 2):
            for pair in _pairs(a, b):
                if pair.is_contrast:
                    yield from ((b if pair.second.startswith(f"{b.name}/") else a, row) for row in _rows(pair))


def _pairs(a: PlannedRun, b: PlannedRun) -> tuple[Pair, ...]:
    """The pairs of two runs; none if they cannot be compared: other tokenizers or problems, or identical numbers."""
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
