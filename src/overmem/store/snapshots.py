"""What was observed of a run, as probes read it: whole snapshots of checkpoints, or the curves of one split."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from overmem.errors import BadRequest
from overmem.records import READABLE_SCHEMAS, TEMPERATURES, Checkpoint, Curves, Snapshot
from overmem.store.examples import read_examples
from overmem.store.files import frame_note
from overmem.store.paths import Run
from overmem.store.units import has_grades_inside, read_samples, read_scores


def read_plan(run: Run) -> dict[str, Any]:
    """What was asked of `audit`.

    Raises:
        BadRequest: the run was not audited, or by an overmem of another schema.
    """
    if not run.plan_path.is_file():
        raise BadRequest(f"{run.root} has not been audited (no {run.plan_path}); run `overmem audit {run.root}` first")
    plan = json.loads(run.plan_path.read_text(encoding="utf-8"))
    if plan.get("schema") not in READABLE_SCHEMAS:
        raise BadRequest(f"{run.plan_path} has schema {plan.get('schema')}, this overmem reads 1 and 2")
    return plan  # type: ignore[no-any-return]


def read_checkpoints(run: Run) -> tuple[Checkpoint, ...]:
    """The audited checkpoints: the base, the trained ones in time order, the merged ones."""
    return TypeAdapter(tuple[Checkpoint, ...]).validate_python(read_plan(run)["checkpoints"])


def read_snapshot(run: Run, checkpoint: Checkpoint) -> Snapshot:
    """One checkpoint's observations, with a note for every unit that is missing.

    A unit that was made for another request than the plan's (an audit that asks for something else was stopped before
    it came there) is missing too: its numbers are not to be compared with the others'.
    """
    splits = read_plan(run)["splits"]
    failure = run.failure_path(checkpoint.name)
    reason = json.loads(failure.read_text())["reason"] if failure.is_file() else "not observed"
    readers: dict[str, Any] = {"scores": read_scores, "samples": read_samples}
    read: dict[str, dict[str, Any]] = {kind: {} for kind in readers}
    missing = {}
    for split, kind in [(s, k) for s in splits for k in readers]:
        why = _why_missing(run, checkpoint.name, split, kind, splits[split]["request"], reason)
        if not why:
            try:
                read[kind][split] = readers[kind](run, checkpoint.name, split)
            except BadRequest:
                why = "damaged file"
        if why:
            missing[split, kind] = why
    return Snapshot(checkpoint, {s: read_examples(run, s) for s in splits}, read["scores"], read["samples"], missing)


def _why_missing(run: Run, checkpoint: str, split: str, kind: str, request: str, failure: str) -> str:
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


def read_curves(run: Run, split: str, *, merged: bool = False, draws: bool = False) -> Curves:
    """Per-example nll and correctness of one split on the base and trained checkpoints (`merged`: all).

    Correctness is that of the greedy completion, or with `draws` the mean over the draws, of all temperatures. Examples
    that some checkpoint lacks are NaN there; ones that no checkpoint was scored on are left out.
    """
    return curves_of([s for s in snapshots(run) if merged or not s.checkpoint.merged_from], split, draws=draws)


def curves_of(kept: Sequence[Snapshot], split: str, *, draws: bool = False) -> Curves:
    """As `read_curves`, of snapshots that are at hand, in the order given."""
    ids = list(dict.fromkeys(i for s in kept if split in s.scores for i in s.scores[split].example_ids))
    row = {identity: index for index, identity in enumerate(ids)}
    shape = (len(kept), len(ids))
    nll, agree, correct = (np.full(shape, np.nan) for _ in range(3))
    tempered = np.full((*shape, len(TEMPERATURES)), np.nan)
    counts = np.zeros(len(ids), dtype=np.int64)
    for index, snapshot in enumerate(kept):
        if (scores := snapshot.scores.get(split)) is not None and scores.example_ids:
            where = [row[i] for i in scores.example_ids]
            nll[index, where] = scores.nll_sums
            right = np.where(scores.is_argmax, -scores.logprob.astype(np.float64), 0.0)
            agree[index, where] = np.diff(np.concatenate([[0.0], np.cumsum(right)])[scores.offsets])
            tempered[index, where] = scores.tempered_nll
            counts[where] = scores.token_counts
        if (samples := snapshot.samples.get(split)) is not None:
            at = np.array([row.get(identity, -1) for identity in samples.example_ids], dtype=np.int64)
            counted = ((samples.draw > 0) == draws) & (at >= 0)
            total = np.bincount(at[counted], minlength=len(ids))
            hits = np.bincount(at[counted], samples.correct[counted], minlength=len(ids))
            correct[index, total > 0] = hits[total > 0] / total[total > 0]
    return Curves(tuple(s.checkpoint for s in kept), nll, counts, correct, tempered, agree)
