"""Snapshots: all observations of one checkpoint, as probes read them."""

from collections.abc import Callable, Iterator, Mapping
from sys import getsizeof
from typing import Any

import numpy as np

from overmem.errors import BadRequest
from overmem.json_text import parse_json
from overmem.records import Checkpoint, Example, Snapshot
from overmem.store.examples import read_examples
from overmem.store.files import frame_note
from overmem.store.paths import Run
from overmem.store.plan import read_checkpoints, read_plan
from overmem.store.units import has_grades_inside, read_completions, read_samples, read_scores

DAMAGED = "damaged file"
"""Note of a unit whose file exists and cannot be read."""


def read_snapshot(run: Run, checkpoint: Checkpoint) -> Snapshot:
    """One checkpoint's observations, with a note for every unit that is missing or damaged.

    A unit that was made for another request than the plan's (by an audit with other options, if a later one was
    interrupted) counts as missing: its numbers are not comparable with the others.
    """
    return snapshot_reader(run)(checkpoint)


def snapshot_reader(run: Run, *, cache_bytes: int = 0) -> Callable[[Checkpoint], Snapshot]:
    """`read_snapshot` for many checkpoints of one run: the plan and the examples are read once.

    Args:
        run: the run.
        cache_bytes: memory for a cache of snapshots. The first ones that fit are cached, because readers go through all
            checkpoints in the same order several times.
    """
    requests = read_plan(run).requests
    examples = {split: read_examples(run, split) for split in requests}
    cached: dict[str, Snapshot] = {}
    used = 0

    def read(checkpoint: Checkpoint) -> Snapshot:
        nonlocal used
        if checkpoint.name in cached:
            return cached[checkpoint.name]
        snapshot = _snapshot(run, checkpoint, requests, examples)
        size = _bytes_of(snapshot)
        if used + size <= cache_bytes:
            cached[checkpoint.name] = snapshot
            used += size
        return snapshot

    return read


def _bytes_of(snapshot: Snapshot) -> int:
    """Approximate memory of a snapshot, without the examples, which all snapshots share."""
    columns = [c for unit in (*snapshot.scores.values(), *snapshot.samples.values()) for c in vars(unit).values()]
    arrays = sum(c.nbytes for c in columns if isinstance(c, np.ndarray))
    return arrays + sum(getsizeof(text) for c in columns if isinstance(c, tuple) for text in c)


def drop_damaged_units(run: Run, checkpoint: str, notes: Mapping[tuple[str, str], str]) -> list[str]:
    """Delete the files of a checkpoint that could not be read, so that the next audit makes them again.

    If the completions can be read and their grades cannot, only the grades are deleted.

    Args:
        run: the run.
        checkpoint: name of the checkpoint.
        notes: the notes of its snapshot.

    Returns:
        The names of the files.
    """
    dropped = []
    for (split, kind), note in notes.items():
        if note != DAMAGED:
            continue
        path = run.unit_path(checkpoint, split, kind)
        if kind == "samples":
            try:
                read_completions(run, checkpoint, split)
                path = run.unit_path(checkpoint, split, "grades")
            except BadRequest:
                run.unit_path(checkpoint, split, "grades").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        dropped.append(path.name)
    return dropped


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
                why = DAMAGED
        if why:
            missing[split, kind] = why
    return Snapshot(checkpoint, examples, read["scores"], read["samples"], missing)


def why_not_observed(run: Run, checkpoint: str) -> str:
    """Why a checkpoint has no units: the failure that was noted, else "not observed"."""
    return read_failure(run, checkpoint) or "not observed"


def read_failure(run: Run, checkpoint: str) -> str | None:
    """Why a checkpoint could not be observed; None if nothing was noted."""
    try:
        return str(parse_json(run.failure_path(checkpoint).read_text(encoding="utf-8"))["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def why_missing(run: Run, checkpoint: str, split: str, kind: str, request: str, failure: str) -> str:
    """Why a unit counts as missing; empty if it does not.

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
        return DAMAGED if path.is_file() else failure
    if note.get("request") != request:
        return "observed for another request than the plan's"
    if kind == "scores":
        return ""
    grades = frame_note(run.unit_path(checkpoint, split, "grades"))
    is_graded = has_grades_inside(note) if grades is None else grades.get("request") == request
    return "" if is_graded else "not graded"


def snapshots(run: Run) -> Iterator[Snapshot]:
    """Every audited checkpoint's observations, one at a time."""
    yield from map(snapshot_reader(run), read_checkpoints(run))
