"""`sweep.parquet`: one row per run, checkpoint and metric. Effects and pages are made from it alone, without a model.

Besides the measurements of every run it has what the verdict says (probe `verdict`): the run's regime, onset and
severity, what every selection rule picked, and every cost. Accuracy and nll carry the result of each example, so that
two runs on the same problems are compared problem by problem.
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
"""Begins the name of the column that holds a factor's level."""
PER_EXAMPLE = (("accuracy", "accuracy"), ("perplexity", "nll"))
"""Probe and metric of the rows that carry every example's result."""
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
"""`numerators`, `denominators` and `examples` (ids) only in the rows of PER_EXAMPLE."""


_MEASURED = ("checkpoint", "step", "split", "probe", "metric", "value", "stderr", "low", "high", "n", "note")
"""Columns that a measurement fills as it is."""


def write_table(path: Path, runs: Sequence[PlannedRun]) -> None:
    """Collect every run that has a verdict into the sweep's table."""
    judged = [planned for planned in runs if _is_judged(planned)]
    rows = [_place(planned) | row for planned in judged for row in _rows(planned)]
    rows += [_place(planned) | row for planned, row in matched_rows(judged)]
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


def _place(planned: PlannedRun) -> dict[str, Any]:
    levels = {f"{FACTOR}{factor}": level for factor, level in planned.levels.items()}
    return {"run": planned.name, "seed": planned.seed} | levels


def _rows(planned: PlannedRun) -> Iterator[dict[str, Any]]:
    """Every measurement of a run, and what its verdict says."""
    run = store.open_run(planned.root)
    verdict = store.read_verdict(run)
    regimes = {v.checkpoint.name: v.regime for v in verdict.checkpoints}
    times = {c.name: c for c in store.read_checkpoints(run)}
    results = _results(run)
    for m in store.read_measurements(run):
        time = times.get(m.checkpoint)
        place = {
            "epoch": None if time is None else time.epoch,
            "cumulative_lr": None if time is None else time.cumulative_lr,
            "regime": regimes.get(m.checkpoint, ""),
            "at": json.dumps(dict(m.at), sort_keys=True),
        }
        each = results.get((m.checkpoint, m.split, m.probe, m.metric), {}) if not m.at else {}
        yield {name: getattr(m, name) for name in _MEASURED} | place | each
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
                known = np.isfinite(top)
                if known.any():
                    results[checkpoint.name, split, probe, metric] = {
                        "numerators": top[known].tolist(),
                        "denominators": bottom[known].tolist(),
                        "examples": [identity for identity, measured in zip(ids, known, strict=True) if measured],
                    }
    return results


def _verdict_rows(verdict: Verdict) -> Iterator[dict[str, Any]]:
    yield _row("regime", Estimate(None), checkpoint=_last(verdict), regime=verdict.regime)
    if verdict.onset is not None:
        for unit in ("step", "epoch", "cumulative_lr"):
            yield _row(f"onset, {unit}", getattr(verdict.onset, unit), checkpoint=verdict.onset.checkpoint)
    for v in verdict.checkpoints:
        yield _row("excess", v.excess, checkpoint=v.checkpoint.name, regime=v.regime, step=v.checkpoint.step)
    offered = [c for c in (verdict.recommended or verdict.best, *verdict.choices) if c is not None]
    at: dict[str, object]
    for choice in offered:
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
