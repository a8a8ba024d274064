"""What is looked at in every run of a sweep: severity, onset, accuracy and perplexity, and every cost.

An outcome of a run is a number with its standard error over examples, or the results of each example, so that two runs
on the same problems are compared problem by problem.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from overmem import statistics
from overmem.sweep.table import FACTOR


@dataclass(frozen=True)
class Outcome:
    """One number of one run."""

    value: float
    stderr: float | None
    """Over examples; None where it is not known."""
    numerators: Float[np.ndarray, " examples"] | None = None
    denominators: Float[np.ndarray, " examples"] | None = None
    examples: tuple[str, ...] = ()
    """Ids, where the results of each example are at hand."""


@dataclass(frozen=True)
class RunOutcomes:
    """One run of the table: its condition, its seed and its outcomes."""

    run: str
    levels: Mapping[str, str]
    seed: int
    regime: str
    """Of the run: that of its last checkpoint."""
    outcomes: Mapping[str, Outcome]
    points: Mapping[str, bool]
    """Outcome -> whether it is a share, shown in points."""


def runs_of(table: pl.DataFrame) -> list[RunOutcomes]:
    """Every run of the table with its outcomes."""
    return [_run_of(rows) for _, rows in table.group_by("run", maintain_order=True)]


def _run_of(rows: pl.DataFrame) -> RunOutcomes:
    first = rows.row(0, named=True)
    verdict = list(rows.filter(pl.col("probe") == "verdict").iter_rows(named=True))
    end = next(row for row in verdict if row["metric"] == "regime")
    shipped = next((row["checkpoint"] for row in verdict if _at(row).get("rule") == "overmem"), None)
    outcomes: dict[str, tuple[Outcome, bool]] = {}
    for name, outcome, is_share in _of_verdict(verdict, end["checkpoint"]):
        outcomes[name] = (outcome, is_share)
    for place, checkpoint in (("to ship", shipped), ("at the end", end["checkpoint"])):
        for name, outcome, is_share in _at_checkpoint(rows, checkpoint):
            outcomes[f"{name}, {place}"] = (outcome, is_share)
    return RunOutcomes(
        first["run"],
        {column.removeprefix(FACTOR): first[column] for column in rows.columns if column.startswith(FACTOR)},
        first["seed"],
        end["regime"],
        {name: outcome for name, (outcome, _) in outcomes.items()},
        {name: is_share for name, (_, is_share) in outcomes.items()},
    )


def _of_verdict(verdict: list[dict[str, Any]], end: str) -> Iterator[tuple[str, Outcome, bool]]:
    for row in verdict:
        if row["value"] is None or not np.isfinite(row["value"]):
            continue
        if row["metric"] == "excess" and row["checkpoint"] == end:
            yield "excess nll, at the end", _from_row(row), False
        elif row["metric"].startswith("onset, "):
            yield row["metric"], _from_row(row), False
        elif row["metric"] == "cost":
            at = _at(row)
            yield f"cost: {at['cost']}", _from_row(row), bool(at["points"])


def _at_checkpoint(rows: pl.DataFrame, checkpoint: str | None) -> Iterator[tuple[str, Outcome, bool]]:
    at_checkpoint = rows.filter(
        (pl.col("checkpoint") == checkpoint) & (pl.col("probe") != "verdict") & pl.col("numerators").is_not_null()
    )
    for row in at_checkpoint.iter_rows(named=True):
        if row["split"] == "test" or row["split"].startswith(("ood-", "test+")):
            yield f"{row['split']} {row['metric']}", outcome_of_examples(row), row["metric"] == "accuracy"


def _from_row(row: Mapping[str, Any]) -> Outcome:
    stderr = row["stderr"]
    if stderr is None and row["low"] is not None and row["high"] is not None:
        stderr = (row["high"] - row["low"]) / (2 * statistics.Z)
    return Outcome(row["value"], stderr if stderr is not None and np.isfinite(stderr) else None)


def within(outcome: Outcome) -> float:
    """The standard error over examples; 0 where it is not known: then the scatter over seeds alone is the error."""
    return 0.0 if outcome.stderr is None else outcome.stderr


def paired(left: Outcome, right: Outcome) -> Outcome:
    """Left - right: over the examples that both have where they are at hand, else as independent numbers."""
    where = {identity: i for i, identity in enumerate(right.examples)}
    shared = [(i, where[identity]) for i, identity in enumerate(left.examples) if identity in where]
    if len(shared) < 2 or left.numerators is None or right.numerators is None:
        both = None if left.stderr is None or right.stderr is None else sqrt(left.stderr**2 + right.stderr**2)
        return Outcome(left.value - right.value, both)
    assert left.denominators is not None
    assert right.denominators is not None
    left_rows, right_rows = (list(places) for places in zip(*shared, strict=True))
    difference = statistics.ratio_difference(
        left.numerators[left_rows],
        left.denominators[left_rows],
        right.numerators[right_rows],
        right.denominators[right_rows],
    )
    assert difference.value is not None
    return Outcome(difference.value, difference.stderr)


def outcome_of_examples(row: Mapping[str, Any]) -> Outcome:
    """An outcome from a row of the table that carries the result of each example."""
    top, bottom = np.array(row["numerators"], float), np.array(row["denominators"], float)
    stderr = statistics.ratio_stderr(top, bottom) if len(top) > 1 else None
    return Outcome(float(top.sum() / bottom.sum()), stderr, top, bottom, tuple(row["examples"]))


def _at(row: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(row["at"]) if row["probe"] == "verdict" else {}
