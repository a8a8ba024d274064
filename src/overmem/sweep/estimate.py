"""The time and disk space of a sweep, estimated from a few training steps of its first condition."""

import statistics as standard
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil
from pathlib import Path

from overmem import store
from overmem.audit import estimate_audit
from overmem.sweep.conditions import PlannedRun
from overmem.sweep.work import Keep, is_done
from overmem.training.recipe import Recipe
from overmem.training.verb import train

_STEPS = 6
"""Number of optimizer steps that are timed; their median ignores the slower first ones."""


@dataclass(frozen=True)
class SweepEstimate:
    """The time and disk space of the runs that are not done yet, one after another on this machine."""

    runs: int
    already_done: int
    training_seconds: float
    audit_seconds: float
    disk_bytes: int
    """Bytes of weights that remain at the end, according to `keep`."""
    peak_disk_bytes: int
    """Peak bytes of weights, including checkpoints that are deleted later."""
    measured_on: str
    """The condition that was timed; the others are scaled by their number of steps and checkpoints."""


def estimate_sweep(runs: Sequence[PlannedRun], keep: Keep) -> SweepEstimate:
    """The estimate for the runs to do. Trains a few steps in a temporary folder and writes nothing else."""
    to_do = [run for run in runs if not is_done(run)]
    if not to_do:
        return SweepEstimate(len(runs), len(runs), 0.0, 0.0, 0, 0, "")
    first = to_do[0]
    with tempfile.TemporaryDirectory(prefix="overmem-sweep-") as folder:
        step_seconds, rows, size = _trained(first.recipe, Path(folder))
        audit = estimate_audit(replace(first.audit, run=folder))
        per_checkpoint = audit.seconds / max(1, len(audit.checkpoints))
    training = audit_seconds = 0.0
    disk = peak = 0
    for run in to_do:
        steps = _steps(run.recipe, rows)
        saved = _checkpoints(run.recipe, steps)
        training += steps * step_seconds
        audit_seconds += (saved + 1) * per_checkpoint  # 1 for the base model
        kept = {"all": saved, "recommended": min(2, saved), "none": 0}[keep]
        peak = max(peak, disk + saved * size)
        disk += kept * size
    done = len(runs) - len(to_do)
    return SweepEstimate(len(runs), done, training, audit_seconds, disk, max(peak, disk), first.condition)


def _trained(recipe: Recipe, folder: Path) -> tuple[float, int, int]:
    """Median seconds per step, training rows, and bytes of a checkpoint's folder."""
    times: list[float] = []
    short = replace(
        recipe,
        output=str(folder),
        save=_STEPS,
        observe_rows=0,
        trainer={**recipe.trainer, "max_steps": _STEPS},
    )
    train(short, progress=lambda what, done, total: times.append(time.perf_counter()))
    step_seconds = [after - before for before, after in pairwise(times)]
    run = store.open_run(folder)
    epoch = max((float(row["epoch"]) for row in store.read_log_history(run) if row.get("epoch")), default=1.0)
    rows = round(_STEPS / epoch * recipe.batch_size * recipe.accumulation)
    size = 0
    for path in (folder / f"checkpoint-{_STEPS}").rglob("*"):
        with suppress(OSError):
            size += path.stat().st_size
    return standard.median(step_seconds), rows, size


def _steps(recipe: Recipe, rows: int) -> int:
    count = min(rows, recipe.data.train) if isinstance(recipe.data.train, int) else rows
    if "max_steps" in recipe.trainer:
        return int(recipe.trainer["max_steps"])
    return ceil(count / (recipe.batch_size * recipe.accumulation) * recipe.epochs)


def _checkpoints(recipe: Recipe, steps: int) -> int:
    by_epoch = ceil(recipe.epochs)
    count = by_epoch if recipe.save == "epoch" else max(1, steps // int(recipe.save))
    limit = recipe.trainer.get("save_total_limit")
    return min(count, int(limit)) if limit else count
