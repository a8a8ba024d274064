"""Examples, units of work, and the snapshots and curves that are read from them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import polars as pl
from pydantic import TypeAdapter

from overmem.errors import BadRequest
from overmem.records import SCHEMA, TEMPERATURES, Checkpoint, Curves, Example, Samples, Scores, Snapshot
from overmem.store.files import frame_note, read_frame, write_frame, write_json
from overmem.store.paths import Run

_TOKEN_COLUMNS = {
    "token_id": pl.Int32,
    "logprob": pl.Float32,
    "entropy": pl.Float32,
    "is_argmax": pl.Boolean,
    "top1_logprob": pl.Float32,
    "mean_logprob": pl.Float32,
    "std_logprob": pl.Float32,
}
_SAMPLE_COLUMNS = {
    "draw": pl.Int32,
    "temperature": pl.Float32,
    "text": pl.String,
    "token_count": pl.Int32,
    "logprob": pl.Float32,
    "stop": pl.String,
    "answer": pl.String,
    "correct": pl.Boolean,
}


def write_examples(run: Run, split: str, examples: Sequence[Example]) -> None:
    """Keep the text of one split."""
    schema = {f.name: pl.String for f in fields(Example)}
    write_frame(run.examples_path(split), pl.DataFrame([asdict(e) for e in examples], schema=schema))


def read_examples(run: Run, split: str) -> tuple[Example, ...]:
    """The examples of one split, in the order in which they were drawn."""
    rows = read_frame(run.examples_path(split), "run `overmem audit` first").iter_rows(named=True)
    return tuple(Example(**row) for row in rows)


def example_splits(run: Run) -> list[str]:
    """The splits whose text the run keeps, sorted by name."""
    return sorted(path.stem for path in run.examples_path("").parent.glob("*.parquet"))


def write_token_texts(run: Run, pieces: Mapping[int, str]) -> None:
    """Keep the text of each token, so that whoever reads the scores needs no tokenizer."""
    frame = pl.DataFrame(
        {"token_id": list(pieces), "text": list(pieces.values())}, {"token_id": pl.Int32, "text": pl.String}
    )
    write_frame(run.pieces_path, frame)


def read_token_texts(run: Run) -> dict[int, str]:
    """Token id -> its text; empty where it was not kept."""
    if frame_note(run.pieces_path) is None:
        return {}
    frame = read_frame(run.pieces_path, "run `overmem audit` first")
    return dict(zip(frame["token_id"], frame["text"], strict=True))


def is_unit_current(run: Run, checkpoint: str, split: str, kind: str, *, weights: str | None, request: str) -> bool:
    """Whether this unit of work was done for this request and these weights (None: whatever they were)."""
    note = frame_note(run.unit_path(checkpoint, split, kind)) or {}
    asked = {"schema": SCHEMA, "request": request} | ({} if weights is None else {"weights": weights})
    return all(note.get(key) == value for key, value in asked.items())


def drop_other_weights(run: Run, checkpoint: str, weights: str) -> None:
    """Delete what was observed of a checkpoint when it held other weights."""
    for path in run.failure_path(checkpoint).parent.glob("*.parquet"):
        if (frame_note(path) or {}).get("weights") != weights:
            path.unlink()
    run.failure_path(checkpoint).unlink(missing_ok=True)


def write_scores(run: Run, checkpoint: str, split: str, scores: Scores, *, weights: str, request: str) -> None:
    """Write one unit of scores, whole or not at all."""
    ends = scores.offsets[1:-1]
    columns: dict[str, Any] = {"example_id": list(scores.example_ids)}
    for name, dtype in _TOKEN_COLUMNS.items():
        parts = np.split(getattr(scores, name), ends) if len(scores.example_ids) else []
        columns[name] = pl.Series(name, [p.tolist() for p in parts], dtype=pl.List(dtype))
    columns["tempered_nll"] = pl.Series("tempered_nll", scores.tempered_nll.tolist(), dtype=pl.List(pl.Float64))
    frame = pl.DataFrame(columns, schema_overrides={"example_id": pl.String})
    path = run.unit_path(checkpoint, split, "scores")
    write_frame(path, frame, weights=weights, request=request, truncated=str(scores.truncated))


def read_scores(run: Run, checkpoint: str, split: str) -> Scores:
    """One unit of scores."""
    path = run.unit_path(checkpoint, split, "scores")
    frame = read_frame(path, "run `overmem audit` first")
    counts = frame["token_id"].list.len().to_numpy()
    flat = {name: frame[name].explode(empty_as_null=False).to_numpy() for name in _TOKEN_COLUMNS}
    tempered = np.array(frame["tempered_nll"].to_list(), dtype=np.float64).reshape(len(frame), len(TEMPERATURES))
    return Scores(
        tuple(frame["example_id"]),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        **flat,
        tempered_nll=tempered,
        truncated=int((frame_note(path) or {}).get("truncated", 0)),
    )


def write_samples(run: Run, checkpoint: str, split: str, samples: Samples, *, weights: str, request: str) -> None:
    """Write one unit of samples, whole or not at all."""
    columns = {name: pl.Series(name, list(getattr(samples, name)), dtype=t) for name, t in _SAMPLE_COLUMNS.items()}
    ids = pl.Series("example_id", list(samples.example_ids), dtype=pl.String)
    path = run.unit_path(checkpoint, split, "samples")
    write_frame(path, pl.DataFrame({"example_id": ids, **columns}), weights=weights, request=request)


def read_samples(run: Run, checkpoint: str, split: str) -> Samples:
    """One unit of samples."""
    frame = read_frame(run.unit_path(checkpoint, split, "samples"), "run `overmem audit` first")
    columns: dict[str, Any] = {
        name: tuple(frame[name]) if dtype is pl.String else frame[name].to_numpy()
        for name, dtype in _SAMPLE_COLUMNS.items()
    }
    return Samples(tuple(frame["example_id"]), **columns)


def write_failure(run: Run, checkpoint: str, reason: str) -> None:
    """Note why a checkpoint could not be observed now. What was observed of it stands."""
    write_json(run.failure_path(checkpoint), {"schema": SCHEMA, "reason": reason})


def read_plan(run: Run) -> dict[str, Any]:
    """What was asked of `audit`.

    Raises:
        BadRequest: the run was not audited, or by an overmem of another schema.
    """
    if not run.plan_path.is_file():
        raise BadRequest(f"{run.root} has not been audited (no {run.plan_path}); run `overmem audit {run.root}` first")
    plan = json.loads(run.plan_path.read_text(encoding="utf-8"))
    if plan.get("schema") != SCHEMA:
        raise BadRequest(f"{run.plan_path} has schema {plan.get('schema')}, this overmem reads {SCHEMA}")
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
    missing = {}
    for unit in [(s, k) for s in splits for k in ("scores", "samples")]:
        split, path = unit[0], run.unit_path(checkpoint.name, *unit)
        note = frame_note(path)
        if note is None:
            missing[unit] = "damaged file" if path.is_file() else reason
        elif note.get("request") != splits[split]["request"]:
            missing[unit] = "not observed as it is asked now"
    return Snapshot(
        checkpoint,
        {s: read_examples(run, s) for s in splits},
        {s: read_scores(run, checkpoint.name, s) for s in splits if (s, "scores") not in missing},
        {s: read_samples(run, checkpoint.name, s) for s in splits if (s, "samples") not in missing},
        missing,
    )


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
