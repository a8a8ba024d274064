"""The work of a sweep: each run is trained, audited and judged once, by whichever worker holds its lease."""

import re
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

from overmem import store
from overmem.audit import audit
from overmem.diagnose import diagnose
from overmem.diagnose.options import Diagnose
from overmem.errors import BadCheckpoint, BadData, BadRequest
from overmem.json_text import parse_json
from overmem.observe.clock import Progress
from overmem.records import Verdict
from overmem.store.leases import Leases
from overmem.sweep.conditions import PlannedRun
from overmem.training.verb import train

Keep: TypeAlias = Literal["all", "recommended", "none"]

_MARKER = "sweep.json"
"""File in a run's `overmem` folder: the recipe and the audit options with which it is done."""


def is_done(planned: PlannedRun) -> bool:
    """Whether the run was trained, audited and judged with the planned recipe and options."""
    return _done(planned) == {"recipe": _recipe(planned), "audit": store.to_jsonable(planned.audit)}


def failure(planned: PlannedRun) -> str | None:
    """Why the run failed in this sweep; None if it was not tried yet or is done."""
    return None if is_done(planned) else _read(_failure_path(planned)).get("reason")


def is_over(planned: PlannedRun) -> bool:
    """Whether the run is done, or was tried in this sweep and failed."""
    return is_done(planned) or _failure_path(planned).is_file()


def forget_failures(runs: Sequence[PlannedRun]) -> None:
    """Let failed runs be tried again."""
    for planned in runs:
        _failure_path(planned).unlink(missing_ok=True)
    for folder in {_failure_path(planned).parent for planned in runs}:
        with suppress(OSError):  # it is not there, or holds failures of runs that are no longer in the sweep file
            folder.rmdir()


def work_through(
    runs: Sequence[PlannedRun],
    keep: Keep,
    *,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda what, done, total: None,
    until: Callable[[], bool] = lambda: False,
    wait: float = 2.0,
) -> None:
    """Finish every run that no other worker holds, then wait for the others, taking over what they leave unfinished.

    Any number of processes may call it on the same sweep, on machines that share the folder.

    Args:
        runs: the runs of the sweep.
        keep: which weights are kept.
        say: called with a line on each thing that happens.
        progress: called with (description, runs done, runs in total); a run in progress counts as a fraction.
        until: whether to end early; called between runs.
        wait: seconds between two checks of the others' leases.
    """
    leases = Leases()
    while open_runs := [planned for planned in runs if not is_over(planned)]:
        has_worked = False
        for planned in open_runs:
            if until():
                return
            lease = leases.take(planned.root.parent.parent / "leases" / f"{planned.name}.json")
            if lease is None:
                continue
            with lease:
                if is_over(planned):
                    continue
                has_worked = True
                _finish(planned, keep, say, _Share(runs, planned, progress))
        if not has_worked:
            time.sleep(wait)
    progress("all runs", len(runs), len(runs))


class _Share:
    """Progress of one run as part of the whole: training is the first half of a run and its audit the second."""

    def __init__(self, runs: Sequence[PlannedRun], planned: PlannedRun, progress: Progress) -> None:
        self.finished, self.total = sum(map(is_done, runs)), len(runs)
        self.planned, self.progress = planned, progress

    def of(self, half: int) -> Progress:
        """The progress function of training (0) or of the audit (1)."""

        def report(description: str, done: float, total: float) -> None:
            share = (half + (done / total if total else 0.0)) / 2
            self.progress(f"{self.planned.name}: {description}", self.finished + share, self.total)

        return report


def _finish(planned: PlannedRun, keep: Keep, say: Callable[[str], None], share: _Share) -> None:
    """Train, audit and judge one run. An error is recorded, so that the other runs continue."""
    try:
        if _done(planned).get("recipe") != _recipe(planned):
            train(planned.recipe, progress=share.of(0))
            mark(planned, None)
        audited = audit(planned.audit, progress=share.of(1))
        for name, reason in audited.failures.items():
            say(f"{planned.name}: {name}: {reason}")
        verdict = diagnose(Diagnose(str(planned.root), seed=planned.seed))
        store.write_verdict(audited.run, verdict)
        delete_weights(audited.run, verdict, keep)
        mark(planned, planned.audit)
        say(f"{planned.name}: {verdict.headline}")
    except (BadRequest, BadData, BadCheckpoint, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        store.write_json(_failure_path(planned), {"reason": reason})
        say(f"{planned.name} failed: {reason}")


def delete_weights(run: store.Run, verdict: Verdict, keep: Keep) -> tuple[str, ...]:
    """Delete the weights of the checkpoints that the policy does not keep; returns their names.

    Only folders named `checkpoint-<step>` in the run directory itself, of checkpoints that the verdict judged.
    """
    judged = [v.checkpoint.name for v in verdict.checkpoints if re.fullmatch(r"checkpoint-\d+", v.checkpoint.name)]
    to_ship = {verdict.best_of_run, *judged[-1:]}
    kept: Mapping[Keep, Collection[str | None]] = {"all": judged, "recommended": to_ship, "none": ()}
    deleted = []
    with store.locked(run):
        for name in judged:
            folder = run.root / name
            if name not in kept[keep] and folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder)
                deleted.append(name)
    return tuple(deleted)


def _done(planned: PlannedRun) -> dict[str, Any]:
    return _read(planned.root / "overmem" / _MARKER)


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty if the file is missing or damaged."""
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def mark(planned: PlannedRun, audited: object) -> None:
    """Record that the run is trained (`audited` is None), or also audited with these options and judged."""
    marker = {"recipe": _recipe(planned), "audit": store.to_jsonable(audited)}
    store.write_json(planned.root / "overmem" / _MARKER, marker)


def _recipe(planned: PlannedRun) -> dict[str, Any]:
    """The recipe without its output folder, because the sweep may have been moved."""
    return {key: value for key, value in store.to_jsonable(planned.recipe).items() if key != "output"}


def _failure_path(planned: PlannedRun) -> Path:
    return planned.root.parent.parent / "failed" / f"{planned.name}.json"
