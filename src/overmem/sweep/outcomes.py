"""The outcomes of every run of a sweep: severity, onset, accuracy, perplexity, and every cost.

An outcome is a number with its standard error over examples. If the results of each example are available, two runs on
the same problems are compared problem by problem.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from overmem import statistics
from overmem.records import Estimate
from overmem.sweep.table import FACTOR


@dataclass(frozen=True)
class Outcome:
    """One number of one run."""

    value: float
    stderr: float | None
    """Standard error over examples; None if unknown."""
    numerators: Float[np.ndarray, " examples"] | None = None
    denominators: Float[np.ndarray, " examples"] | None = None
    examples: tuple[str, ...] = ()
    """Ids of the examples; empty if the results of each example are not available."""


@dataclass(frozen=True)
class RunOutcomes:
    """One run of the table: its condition, its seed and its outcomes."""

    run: str
    levels: Mapping[str, str]
    seed: int
    regime: str
    """The regime of the run: that of its last checkpoint."""
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
    for label, checkpoint in (("to ship", shipped), ("at the end", end["checkpoint"])):
        for name, outcome, is_share in _at_checkpoint(rows, checkpoint):
            outcomes[f"{name}, {label}"] = (outcome, is_share)
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
            yield "excess nll, at the end", outcome_of_row(row), False
        elif row["metric"].startswith("onset, "):
            yield row["metric"], outcome_of_row(row), False
        elif row["metric"] == "cost":
            at = _at(row)
            yield f"cost: {at['cost']}", outcome_of_row(row), bool(at["points"])


def _at_checkpoint(rows: pl.DataFrame, checkpoint: str | None) -> Iterator[tuple[str, Outcome, bool]]:
    at_checkpoint = rows.filter(
        (pl.col("checkpoint") == checkpoint) & (pl.col("probe") != "verdict") & pl.col("numerators").is_not_null()
    )
    for row in at_checkpoint.iter_rows(named=True):
        if row["split"] == "test" or row["split"].startswith(("ood-", "test+")):
            yield f"{row['split']} {row['metric']}", outcome_of_examples(row), row["metric"] == "accuracy"


def outcome_of_row(row: Mapping[str, Any]) -> Outcome:
    """The outcome in a row of the table that has a number with its interval."""
    stderr = statistics.stderr_of(Estimate(row["value"], row["low"], row["high"], stderr=row["stderr"]))
    return Outcome(row["value"], stderr if stderr is not None and np.isfinite(stderr) else None)


def mean(outcomes: Sequence[Outcome]) -> Outcome:
    """The mean of several numbers of one seed. Their errors count as fully dependent, because they share examples."""
    value = sum(o.value for o in outcomes) / len(outcomes)
    errors = [o.stderr for o in outcomes if o.stderr is not None]
    return Outcome(value, sqrt(sum(e * e for e in errors) / len(errors)) if errors else None)


def per_seed(numbers: Iterable[tuple[int, Outcome]]) -> list[Outcome]:
    """One number per seed: the mean of its numbers."""
    groups: dict[int, list[Outcome]] = {}
    for seed, outcome in numbers:
        groups.setdefault(seed, []).append(outcome)
    return [mean(group) for group in groups.values()]


def across_seeds(numbers: Sequence[Outcome]) -> Estimate:
    """The mean over seeds, with the seed as a random effect.

    An unknown error over examples counts as 0, so that only the scatter over seeds determines the interval.
    """
    return statistics.across_seeds([o.value for o in numbers], [0.0 if o.stderr is None else o.stderr for o in numbers])


def share_across_seeds(numbers: Sequence[Outcome]) -> Estimate:
    """The mean of a share over seeds; its interval stays between 0 and 1."""
    return bounded(across_seeds(numbers), 0.0)


def bounded(estimate: Estimate, least: float = -1.0) -> Estimate:
    """A share, or by default a difference of shares, with its interval inside of what is possible.

    A p-value is computed before, from the whole interval.
    """
    if estimate.low is None or estimate.high is None:
        return estimate
    return replace(estimate, low=max(estimate.low, least), high=min(estimate.high, 1.0))


def paired(left: Outcome, right: Outcome) -> Outcome:
    """Left - right: paired over the examples that both have, or else as independent numbers."""
    index_of = {identity: i for i, identity in enumerate(right.examples)}
    shared = [(i, index_of[identity]) for i, identity in enumerate(left.examples) if identity in index_of]
    if len(shared) < 2 or left.numerators is None or right.numerators is None:
        stderr = None if left.stderr is None or right.stderr is None else sqrt(left.stderr**2 + right.stderr**2)
        return Outcome(left.value - right.value, stderr)
    assert left.denominators is not None
    assert right.denominators is not None
    left_rows, right_rows = (list(rows) for rows in zip(*shared, strict=True))
    difference = statistics.ratio_difference(
        left.numerators[left_rows],
        left.denominators[left_rows],
        right.numerators[right_rows],
        right.denominators[right_rows],
    )
    assert difference.value is not None
    return Outcome(difference.value, difference.stderr)


def outcome_of_examples(row: Mapping[str, Any]) -> Outcome:
    """The outcome in a row of the table that has the result of each example."""
    top, bottom = np.array(row["numerators"], float), np.array(row["denominators"], float)
    stderr = statistics.ratio_stderr(top, bottom) if len(top) > 1 else None
    return Outcome(float(top.sum() / bottom.sum()), stderr, top, bottom, tuple(row["examples"]))


def _at(row: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(row["at"]) if row["probe"] == "verdict" else {}
