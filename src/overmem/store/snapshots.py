"""Snapshots: everything that was observed of one checkpoint, as probes read it."""

import json
from collections.abc import Iterator
from typing import Any

from overmem.errors import BadRequest
from overmem.records import Checkpoint, Snapshot
from overmem.store.examples import read_examples
from overmem.store.files import frame_note
from overmem.store.paths import Run
from overmem.store.plan import read_checkpoints, read_plan
from overmem.store.units import has_grades_inside, read_samples, read_scores


def read_snapshot(run: Run, checkpoint: Checkpoint) -> Snapshot:
    """One checkpoint's observations, with a note for every unit that is missing.

    A unit that was made for another request than the plan's (an audit that asks for something else was stopped before
    it came there) is missing too: its numbers are not to be compared with the others'.
    """
    splits = read_plan(run).splits
    failure = why_not_observed(run, checkpoint.name)
    readers: dict[str, Any] = {"scores": read_scores, "samples": read_samples}
    read: dict[str, dict[str, Any]] = {kind: {} for kind in readers}
    missing = {}
    for split, kind in [(s, k) for s in splits for k in readers]:
        why = why_missing(run, checkpoint.name, split, kind, splits[split].request, failure)
        if not why:
            try:
                read[kind][split] = readers[kind](run, checkpoint.name, split)
            except BadRequest:
                why = "damaged file"
        if why:
            missing[split, kind] = why
    return Snapshot(checkpoint, {s: read_examples(run, s) for s in splits}, read["scores"], read["samples"], missing)


def why_not_observed(run: Run, checkpoint: str) -> str:
    """Why a checkpoint has no units: the failure that was noted, else that nobody observed it."""
    try:
        return str(json.loads(run.failure_path(checkpoint).read_text(encoding="utf-8"))["reason"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "not observed"


def why_missing(run: Run, checkpoint: str, split: str, kind: str, request: str, failure: str) -> str:
    """Why a unit is not to be read; empty where it is.

    Args:
        run: the run.
        checkpoint: name of the checkpoint.
        split: name of the split.
        kind: `scores` or `samples`.
        request: hash of the plan's request.
        failure: why the checkpoint could not be observed.
    """
    path = run.unit_path(checkpoint, split, kind)
    note = frame_note(path)
    if note is None:
        return "damaged file" if path.is_file() else failure
    if note.get("request") != request:
        return "not observed as it is asked now"
    if kind == "scores":
        return ""
    grades = frame_note(run.unit_path(checkpoint, split, "grades"))
    is_graded = has_grades_inside(note) if grades is None else grades.get("request") == request
    return "" if is_graded else "not graded"


def snapshots(run: Run) -> Iterator[Snapshot]:
    """Every audited checkpoint's observations, one at a time."""
    for checkpoint in read_checkpoints(run):
        yield read_snapshot(run, checkpoint)
