"""What a sweep would cost in hours and disk, from a few measured steps of its first condition."""

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
"""Optimizer steps that are measured; the first ones are slower and the median leaves them out."""


@dataclass(frozen=True)
class SweepEstimate:
    """What the runs that are not done yet would take on this machine, one after the other."""

    runs: int
    already_done: int
    training_seconds: float
    audit_seconds: float
    disk_bytes: int
    """Weights that stay at the end, as `keep` says."""
    peak_disk_bytes: int
    """With the checkpoints of the last run before any is deleted."""
    measured_on: str
    """The condition whose steps were measured; the others are scaled by their number of steps and checkpoints."""


def estimate_sweep(runs: Sequence[PlannedRun], keep: Keep) -> SweepEstimate:
    """Hours and disk of the runs to do. Trains a few steps in a temporary folder and writes nothing else."""
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
        audit_seconds += (saved + 1) * per_checkpoint  # and the base
        kept = {"all": saved, "recommended": min(2, saved), "none": 0}[keep]
        peak = max(peak, disk + saved * size)
        disk += kept * size
    done = len(runs) - len(to_do)
    return SweepEstimate(len(runs), done, training, audit_seconds, disk, max(peak, disk), first.condition)


def _trained(recipe: Recipe, folder: Path) -> tuple[float, int, int]:
    """Median seconds per step, training rows, and bytes of a checkpoint's folder."""
    moments: list[float] = []
    short = replace(
        recipe,
        output=str(folder),
        save=_STEPS,
        observe_rows=0,
        trainer={**recipe.trainer, "max_steps": _STEPS},
    )
    train(short, progress=lambda what, done, total: moments.append(time.perf_counter()))
    gaps = [after - before for before, after in pairwise(moments)]
    run = store.open_run(folder)
    epoch = max((float(row["epoch"]) for row in store.read_log_history(run) if row.get("epoch")), default=1.0)
    rows = round(_STEPS / epoch * recipe.batch_size * recipe.accumulation)
    size = 0
    for path in (folder / f"checkpoint-{_STEPS}").rglob("*"):
        with suppress(OSError):
            size += path.stat().st_size
    return standard.median(gaps), rows, size


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
