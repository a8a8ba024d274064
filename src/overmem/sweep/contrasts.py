"""The contrasts between the conditions of a seed, as rows of the sweep's table.

Checkpoints of two conditions that val shows to be equally accurate and to differ in perplexity, as `compare` chooses
them, and how they differ on test.
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
