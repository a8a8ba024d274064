"""Snapshots: everything that was observed of one checkpoint, as probes read it."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from overmem.errors import BadRequest
from overmem.records import Checkpoint, Example, Snapshot
from overmem.store.examples import read_examples
from overmem.store.files import frame_note
from overmem.store.paths import Run
from overmem.store.plan import read_checkpoints, read_plan
from overmem.store.units import has_grades_inside, read_samples, read_scores


def read_snapshot(run: Run, checkpoint: Checkpoint) -> Snapshot:
    """One checkpoint's observations, with a note for every unit that is missing or damaged.

    A unit that was made for another request than the plan's (an audit with other options was stopped before it came
    there) counts as missing: its numbers are not comparable with the others'.
    """
    return snapshot_reader(run)(checkpoint)


def snapshot_reader(run: Run) -> Callable[[Checkpoint], Snapshot]:
    """`read_snapshot` for many checkpoints of one run: the plan and the examples are read once."""
    requests = read_plan(run).requests
    examples = {split: read_examples(run, split) for split in requests}
    return lambda checkpoint: _snapshot(run, checkpoint, requests, examples)


def _snapshot(
    run: Run, checkpoint: Checkpoint, requests: Mapping[str, str], examples: Mapping[str, tuple[Example, ...]]
) -> Snapshot:
    failure = why_not_observed(run, checkpoint.name)
    readers: dict[str, Any] = {"scores": read_scores, "samples": read_samples}
    read: dict[str, dict[str, Any]] = {kind: {} for kind in readers}
    missing = {}
    for split, kind in [(s, k) for s in requests for k in readers]:
        why = why_missing(run, checkpoint.name, split, kind, requests[split], failure)
        if not why:
            try:
                read[kind][split] = readers[kind](run, checkpoint.name, split)
            except BadRequest:
                why = "damaged file"
        if why:
            missing[split, kind] = why
    return Snapshot(checkpoint, examples, read["scores"], read["samples"], missing)


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
    yield from map(snapshot_reader(run), read_checkpoints(run))
