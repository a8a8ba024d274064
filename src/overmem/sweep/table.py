"""`sweep.parquet`: one row per run, checkpoint and metric. Effects and pages are computed from it alone.

It has the measurements of every run and, as rows of the probe `verdict`, the run's regime, onset and severity, the
choice of every selection rule, and every cost. Rows of accuracy and nll have the result of each example, so that two
runs on the same problems can be compared problem by problem.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from overmem import store
from overmem.records import Estimate, Verdict
from overmem.store.files import read_frame, write_frame
from overmem.sweep.conditions import PlannedRun
from overmem.sweep.contrasts import matched_rows

FACTOR = "vary."
"""Prefix of the column with a factor's level."""
PER_EXAMPLE = (("accuracy", "accuracy"), ("perplexity", "nll"))
"""Probe and metric of the rows with the result of each example."""
_COLUMNS: Mapping[str, Any] = {
    "run": pl.String,
    "seed": pl.Int64,
    "checkpoint": pl.String,
    "step": pl.Int64,
    "epoch": pl.Float64,
    "cumulative_lr": pl.Float64,
    "regime": pl.String,
    "split": pl.String,
    "probe": pl.String,
    "metric": pl.String,
    "at": pl.String,
    "value": pl.Float64,
    "stderr": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
    "note": pl.String,
    "numerators": pl.List(pl.Float32),
    "denominators": pl.List(pl.Float32),
    "examples": pl.List(pl.String),
}
"""`numerators`, `denominators` and `examples` (ids) are only in the rows of PER_EXAMPLE."""


_FROM_MEASUREMENT = ("checkpoint", "step", "split", "probe", "metric", "value", "stderr", "low", "high", "n", "note")
"""Columns that are fields of a measurement."""


def write_table(path: Path, runs: Sequence[PlannedRun]) -> None:
    """Write the table with every run that has a verdict."""
    judged = [planned for planned in runs if _is_judged(planned)]
    rows = [_run_columns(planned) | row for planned in judged for row in _rows(planned)]
    rows += [_run_columns(planned) | row for planned, row in matched_rows(judged)]
    factors = {f"{FACTOR}{factor}": pl.String for planned in runs for factor in planned.levels}
    write_frame(path, pl.DataFrame(rows, schema={**_COLUMNS, **factors}))


def read_table(path: Path) -> pl.DataFrame:
    """The sweep's table.

    Raises:
        BadRequest: there is none, or it is damaged.
    """
    return read_frame(path, "run the sweep first")


def _is_judged(planned: PlannedRun) -> bool:
    home = planned.root / "overmem"
    return (home / "verdict.json").is_file() and (home / "measurements.parquet").is_file()


def _run_columns(planned: PlannedRun) -> dict[str, Any]:
    levels = {f"{FACTOR}{factor}": level for factor, level in planned.levels.items()}
    return {"run": planned.name, "seed": planned.seed} | levels


def _rows(planned: PlannedRun) -> Iterator[dict[str, Any]]:
    """The rows of a run's measurements and of its verdict."""
    run = store.open_run(planned.root)
    verdict = store.read_verdict(run)
    regimes = {v.checkpoint.name: v.regime for v in verdict.checkpoints}
    checkpoints = {c.name: c for c in store.read_checkpoints(run)}
    results = _results(run)
    for m in store.read_measurements(run):
        checkpoint = checkpoints.get(m.checkpoint)
        columns = {
            "epoch": None if checkpoint is None else checkpoint.epoch,
            "cumulative_lr": None if checkpoint is None else checkpoint.cumulative_lr,
            "regime": regimes.get(m.checkpoint, ""),
            "at": json.dumps(dict(m.at), sort_keys=True),
        }
        per_example = results.get((m.checkpoint, m.split, m.probe, m.metric), {}) if not m.at else {}
        yield {name: getattr(m, name) for name in _FROM_MEASUREMENT} | columns | per_example
    yield from _verdict_rows(verdict)


def _results(run: store.Run) -> dict[tuple[str, str, str, str], dict[str, list[Any]]]:
    """(checkpoint, split, probe, metric) -> every example's numerator and denominator."""
    results: dict[tuple[str, str, str, str], dict[str, list[Any]]] = {}
    for split in store.read_plan(run).requests:
        curves = store.read_curves(run, split, merged=True)
        ids = curves.example_ids
        for i, checkpoint in enumerate(curves.checkpoints):
            for (probe, metric), top, bottom in (
                (PER_EXAMPLE[0], curves.correct[i], np.ones(len(ids))),
                (PER_EXAMPLE[1], curves.nll_sums[i], curves.token_counts),
            ):
                is_measured = np.isfinite(top)
                if is_measured.any():
                    results[checkpoint.name, split, probe, metric] = {
                        "numerators": top[is_measured].tolist(),
                        "denominators": bottom[is_measured].tolist(),
                        "examples": [identity for identity, has in zip(ids, is_measured, strict=True) if has],
                    }
    return results


def _verdict_rows(verdict: Verdict) -> Iterator[dict[str, Any]]:
    yield _row("regime", Estimate(None), checkpoint=_last(verdict), regime=verdict.regime)
    if verdict.onset is not None:
        for unit in ("step", "epoch", "cumulative_lr"):
            yield _row(f"onset, {unit}", getattr(verdict.onset, unit), checkpoint=verdict.onset.checkpoint)
    for v in verdict.checkpoints:
        yield _row("excess", v.excess, checkpoint=v.checkpoint.name, regime=v.regime, step=v.checkpoint.step)
    choices = [c for c in (verdict.recommended or verdict.best, *verdict.choices) if c is not None]
    at: dict[str, object]
    for choice in choices:
        for metric in ("accuracy", "nll", "regret"):
            at = {"rule": choice.rule}
            yield _row(
                metric, getattr(choice, metric), checkpoint=choice.checkpoint or "", split=choice.measured_on, at=at
            )
    for cost in verdict.costs:
        at = {"cost": cost.name, "points": int(cost.is_share)}
        yield _row("cost", cost.difference, checkpoint=cost.checkpoint, split="test", at=at)


def _last(verdict: Verdict) -> str:
    trained = [v.checkpoint for v in verdict.checkpoints if not v.checkpoint.merged_from]
    return max(trained, key=lambda c: c.step).name if trained else ""


def _row(
    metric: str,
    estimate: Estimate,
    *,
    checkpoint: str,
    regime: str = "",
    step: int | None = None,
    split: str = "val",
    at: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    numbers: dict[str, Any] = {k: getattr(estimate, k) for k in ("value", "stderr", "low", "high", "n", "note")}
    numbers |= {"checkpoint": checkpoint, "step": step, "regime": regime, "split": split}
    return numbers | {"probe": "verdict", "metric": metric, "at": json.dumps(at or {}, sort_keys=True)}
