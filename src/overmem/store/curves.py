"""Curves: the results of one split at every checkpoint.

Only the columns that are needed are read: a few of a unit's scores and of its grades, but no texts, entropies or token
ids.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from overmem.errors import BadRequest
from overmem.records import Checkpoint, Curves, Scores, Snapshot
from overmem.store.files import frame_note, read_frame
from overmem.store.imported import origin_of, read_totals
from overmem.store.paths import Run
from overmem.store.plan import read_checkpoints, read_plan
from overmem.store.snapshots import DAMAGED, why_missing, why_not_observed
from overmem.store.units import GRADES, HINT, SCORES, has_grades_inside


@dataclass(frozen=True)
class _Solutions:
    """The part of one unit of scores that curves need."""

    example_ids: tuple[str, ...]
    token_counts: Int[np.ndarray, " examples"]
    nll_sums: Float[np.ndarray, " examples"]


@dataclass(frozen=True)
class _Answers:
    """The part of one unit of graded completions that curves need."""

    example_ids: Sequence[str]
    draw: Int[np.ndarray, " completions"]
    correct: Bool[np.ndarray, " completions"]


@dataclass(frozen=True)
class _Results:
    """The part of one checkpoint's results that curves need; None for what was not observed."""

    checkpoint: Checkpoint
    solutions: _Solutions | None
    answers: _Answers | None
    notes: dict[tuple[str, str], str]
    """(checkpoint, kind) -> why it is missing."""


def read_curves(
    run: Run, split: str, *, merged: bool = False, draws: bool = False, checkpoints: Collection[str] | None = None
) -> Curves:
    """Per-example nll and correctness of one split at the base and the trained checkpoints.

    An example that was not scored at a checkpoint is NaN there; examples that were scored nowhere are left out, unless
    nothing was scored at all (imported answers). A missing or damaged unit is all NaN, with a note.

    Args:
        run: the run.
        split: name of the split.
        merged: include the merged checkpoints.
        draws: correctness is the mean over the sampled completions of all temperatures, not that of the greedy one.
        checkpoints: names of the checkpoints to read; all by default.
    """
    selected = [c for c in read_checkpoints(run) if merged or not c.merged_from]
    if checkpoints is not None:
        selected = [c for c in selected if c.name in checkpoints]
    return _curves(list(_read_results(run, split, selected)), _read_groups(run, split), draws=draws)


def curves_of(snapshots: Sequence[Snapshot], split: str, *, draws: bool = False) -> Curves:
    """The curves of snapshots in memory, in their order; otherwise like `read_curves`."""
    groups = {e.id: e.group for snapshot in snapshots for e in snapshot.examples.get(split, ())}
    return _curves([_results_of(snapshot, split) for snapshot in snapshots], groups, draws=draws)


def _read_groups(run: Run, split: str) -> dict[str, str]:
    """Example id -> its group; empty if the examples cannot be read."""
    try:
        frame = read_frame(run.examples_path(split), HINT, {"id": pl.String, "group": pl.String})
    except BadRequest:
        return {}
    return dict(zip(frame["id"], frame["group"], strict=True))


def _group_indices(ids: Sequence[str], groups: Mapping[str, str]) -> Int[np.ndarray, " examples"] | None:
    """The index of each example's group; an example without a group is its own. None if no two share one."""
    keys = [groups.get(identity) or identity for identity in ids]
    index_of = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    return None if len(index_of) == len(ids) else np.array([index_of[key] for key in keys], dtype=np.int64)


def _results_of(snapshot: Snapshot, split: str) -> _Results:
    scores, samples = snapshot.scores.get(split), snapshot.samples.get(split)
    notes = {(snapshot.checkpoint.name, kind): note for (name, kind), note in snapshot.notes.items() if name == split}
    return _Results(
        snapshot.checkpoint,
        None if scores is None else _solutions_of(scores),
        None if samples is None else _Answers(samples.example_ids, samples.draw, samples.correct),
        notes,
    )


def _solutions_of(scores: Scores) -> _Solutions:
    return _Solutions(scores.example_ids, scores.token_counts, scores.nll_sums)


def _read_results(run: Run, split: str, checkpoints: Sequence[Checkpoint]) -> Iterator[_Results]:
    request = read_plan(run).requests.get(split, "")
    for checkpoint in checkpoints:
        name, notes = checkpoint.name, {}
        failure = why_not_observed(run, name)
        for kind in ("scores", "samples"):
            if why := why_missing(run, name, split, kind, request, failure):
                notes[name, kind] = why
        solutions, answers = None, None
        if (name, "scores") not in notes:
            try:
                solutions = _read_solutions(run, name, split)
            except BadRequest:
                notes[name, "scores"] = DAMAGED
        elif origin_of(run, name, split, "nll"):
            solutions = _imported_solutions(run, name, split)
            del notes[name, "scores"]
        if (name, "samples") not in notes:
            try:
                answers = _read_answers(run, name, split)
            except BadRequest:
                notes[name, "samples"] = DAMAGED
        yield _Results(checkpoint, solutions, answers, notes)


def _read_solutions(run: Run, checkpoint: str, split: str) -> _Solutions:
    columns = ("example_id", "logprob")
    frame = read_frame(run.unit_path(checkpoint, split, "scores"), HINT, {name: SCORES[name] for name in columns})
    counts = frame["logprob"].list.len().to_numpy().astype(np.int64)
    row = np.repeat(np.arange(len(frame)), counts)
    sums = np.bincount(row, weights=-_flat(frame["logprob"]).astype(np.float64), minlength=len(frame))
    return _Solutions(tuple(frame["example_id"]), counts, sums.astype(np.float64))


def _imported_solutions(run: Run, checkpoint: str, split: str) -> _Solutions:
    """The summed nll of each solution, from another harness's log, without values per token."""
    totals = read_totals(run, checkpoint, split)
    return _Solutions(totals.example_ids, totals.token_counts, totals.nll_sums)


def _flat(lists: pl.Series) -> np.ndarray:
    """The elements of a column of lists, concatenated."""
    return lists.explode(empty_as_null=False).to_numpy()


def _read_answers(run: Run, checkpoint: str, split: str) -> _Answers:
    path = run.unit_path(checkpoint, split, "grades")
    if not path.is_file() and has_grades_inside(frame_note(run.unit_path(checkpoint, split, "samples"))):
        path = run.unit_path(checkpoint, split, "samples")
    frame = read_frame(path, HINT, {name: GRADES[name] for name in ("example_id", "draw", "correct")})
    return _Answers(frame["example_id"].to_list(), frame["draw"].to_numpy(), frame["correct"].to_numpy())


def _curves(results: Sequence[_Results], groups: Mapping[str, str], *, draws: bool) -> Curves:
    ids = list(dict.fromkeys(i for r in results if r.solutions is not None for i in r.solutions.example_ids))
    if not ids:
        ids = list(dict.fromkeys(i for r in results if r.answers is not None for i in r.answers.example_ids))
    column_of = {identity: index for index, identity in enumerate(ids)}
    shape = (len(results), len(ids))
    nll, correct = (np.full(shape, np.nan) for _ in range(2))
    counts = np.zeros(len(ids), dtype=np.int64)
    for index, result in enumerate(results):
        if (solutions := result.solutions) is not None and solutions.example_ids:
            columns = [column_of[i] for i in solutions.example_ids]
            nll[index, columns] = solutions.nll_sums
            counts[columns] = solutions.token_counts
        if (answers := result.answers) is not None:
            # -1: the example was not scored
            answer_columns = np.array([column_of.get(i, -1) for i in answers.example_ids], dtype=np.int64)
            used = ((answers.draw > 0) == draws) & (answer_columns >= 0)
            total = np.bincount(answer_columns[used], minlength=len(ids))
            hits = np.bincount(answer_columns[used], answers.correct[used], minlength=len(ids))
            correct[index, total > 0] = hits[total > 0] / total[total > 0]
    notes = {unit: note for result in results for unit, note in result.notes.items()}
    return Curves(
        tuple(r.checkpoint for r in results),
        nll,
        counts,
        correct,
        groups=_group_indices(ids, groups),
        notes=notes,
        example_ids=tuple(ids),
    )
