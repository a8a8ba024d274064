"""Units of work: the scores, the completions and the grades of one split at one checkpoint, one Parquet file each.

A unit is written under a temporary name and renamed when complete. Its metadata identifies the weights and the request
that it was made for, and that of grades the grader, so a unit is made again only if one of these has changed.

In schema 1 the grades were two columns of the samples. They are read as grades of an unnamed grader, so the first audit
of such a run grades its completions again, without a model.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from overmem.errors import BadRequest
from overmem.records import READABLE_SCHEMAS, TEMPERATURES, Completions, Grades, Samples, Scores
from overmem.store.files import frame_note, read_frame, write_frame, write_json
from overmem.store.paths import Run

HINT = "run `overmem audit` to make it again"

_TOKEN_COLUMNS = {
    "token_id": pl.Int32,
    "logprob": pl.Float32,
    "entropy": pl.Float32,
    "is_argmax": pl.Boolean,
    "top1_logprob": pl.Float32,
    "mean_logprob": pl.Float32,
    "std_logprob": pl.Float32,
}
_COMPLETION_COLUMNS = {
    "draw": pl.Int32,
    "temperature": pl.Float32,
    "text": pl.String,
    "token_count": pl.Int32,
    "logprob": pl.Float32,
    "stop": pl.String,
}
_GRADE_COLUMNS = {"answer": pl.String, "correct": pl.Boolean}
SCORES: Mapping[str, Any] = {
    "example_id": pl.String,
    **{name: pl.List(dtype) for name, dtype in _TOKEN_COLUMNS.items()},
    "tempered_nll": pl.List(pl.Float64),
}
"""Columns of a unit of scores."""
SAMPLES: Mapping[str, Any] = {"example_id": pl.String, **_COMPLETION_COLUMNS}
"""Columns of a unit of completions."""
GRADES: Mapping[str, Any] = {"example_id": pl.String, "draw": pl.Int32, **_GRADE_COLUMNS, "note": pl.String}
"""Columns of a unit of grades; in schema 1 they were columns of the samples, without a note."""


def is_unit_current(
    run: Run, checkpoint: str, split: str, kind: str, *, weights: str | None, request: str, grader: str | None = None
) -> bool:
    """Whether a unit exists for this request, these weights and this grader.

    Args:
        run: the run.
        checkpoint: name of the checkpoint.
        split: name of the split.
        kind: `scores`, `samples` or `grades`.
        weights: fingerprint of the checkpoint's weights; None accepts any.
        request: hash of the request.
        grader: name and version of the grader; None accepts any. Only grades have one.
    """
    note = frame_note(run.unit_path(checkpoint, split, kind)) or {}
    expected = {"request": request, "weights": weights, "grader": grader}
    matches = all(note.get(key) == value for key, value in expected.items() if value is not None)
    return note.get("schema") in READABLE_SCHEMAS and matches


def drop_other_weights(run: Run, checkpoint: str, weights: str) -> None:
    """Delete every unit of a checkpoint that was made from other weights."""
    for path in run.failure_path(checkpoint).parent.glob("*.parquet"):
        if (frame_note(path) or {}).get("weights") != weights:
            path.unlink(missing_ok=True)  # another worker may have removed it


def clear_failure(run: Run, checkpoint: str) -> None:
    """Remove the note that a checkpoint could not be observed: it is tried again."""
    run.failure_path(checkpoint).unlink(missing_ok=True)


def write_failure(run: Run, checkpoint: str, reason: str) -> None:
    """Write why a checkpoint could not be observed. Its existing units are kept."""
    write_json(run.failure_path(checkpoint), {"reason": reason})


def write_scores(run: Run, checkpoint: str, split: str, scores: Scores, *, weights: str, request: str) -> None:
    """Write one unit of scores, atomically.

    Args:
        run: the run.
        checkpoint: name of the checkpoint.
        split: name of the split.
        scores: the scores.
        weights: fingerprint of the checkpoint's weights.
        request: hash of the request.
    """
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
    """One unit of scores.

    Raises:
        BadRequest: missing or damaged.
    """
    path = run.unit_path(checkpoint, split, "scores")
    frame = read_frame(path, HINT, SCORES)
    counts = frame["token_id"].list.len().to_numpy()
    flat = {name: frame[name].explode(empty_as_null=False).to_numpy() for name in _TOKEN_COLUMNS}
    is_ragged = any(not np.array_equal(counts, frame[name].list.len().to_numpy()) for name in _TOKEN_COLUMNS)
    if is_ragged or not (frame["tempered_nll"].list.len() == len(TEMPERATURES)).all():
        raise BadRequest(f"{path} has columns of different lengths; {HINT}")
    tempered = np.array(frame["tempered_nll"].to_list(), dtype=np.float64).reshape(len(frame), len(TEMPERATURES))
    return Scores(
        tuple(frame["example_id"]),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        **flat,
        tempered_nll=tempered,
        truncated=_count((frame_note(path) or {}).get("truncated")),
    )


def _count(text: object) -> int:
    """A count in a table's metadata; 0 where there is none."""
    return int(text) if isinstance(text, str) and text.isdecimal() and len(text) < 19 else 0


def write_samples(
    run: Run,
    checkpoint: str,
    split: str,
    samples: Completions,
    *,
    weights: str,
    request: str,
    grader: str = "",
    **note: str,
) -> None:
    """Write one unit of completions, atomically, and then their grades if they have some.

    Args:
        run: the run.
        checkpoint: name of the checkpoint.
        split: name of the split.
        samples: the completions.
        weights: fingerprint of the checkpoint's weights.
        request: hash of the request.
        grader: name and version of the grader that graded them.
        note: more to write into the metadata: `origin` of imported ones.
    """
    path = run.unit_path(checkpoint, split, "samples")
    run.unit_path(checkpoint, split, "grades").unlink(missing_ok=True)  # they belong to the replaced completions
    write_frame(path, _frame(samples, _COMPLETION_COLUMNS), weights=weights, request=request, **note)
    if isinstance(samples, Samples):
        write_grades(run, checkpoint, split, samples.grades, weights=weights, request=request, grader=grader)


def write_grades(
    run: Run, checkpoint: str, split: str, grades: Grades, *, weights: str, request: str, grader: str, **note: str
) -> None:
    """Write the grades of one unit of completions, atomically.

    Args:
        run: the run.
        checkpoint: name of the checkpoint.
        split: name of the split.
        grades: the grade of every completion, in the same order.
        weights: fingerprint of the weights that the completions were sampled from.
        request: hash of the request that they were sampled for.
        grader: name and version of the grader.
        note: more to write into the metadata: `origin` of imported ones.
    """
    frame = _frame(grades, {"draw": pl.Int32, **_GRADE_COLUMNS, "note": pl.String})
    path = run.unit_path(checkpoint, split, "grades")
    write_frame(path, frame, weights=weights, request=request, grader=grader, **note)


def read_completions(run: Run, checkpoint: str, split: str) -> Completions:
    """One unit of completions, graded or not.

    Raises:
        BadRequest: missing or damaged.
    """
    frame = read_frame(run.unit_path(checkpoint, split, "samples"), HINT, SAMPLES)
    return Completions(**_columns(frame, _COMPLETION_COLUMNS))


def read_grades(run: Run, checkpoint: str, split: str) -> Grades:
    """The grades of one unit of completions; in a schema 1 run that was not graded again, those in its samples.

    Raises:
        BadRequest: missing or damaged.
    """
    path = run.unit_path(checkpoint, split, "grades")
    if not path.is_file():
        samples_path = run.unit_path(checkpoint, split, "samples")
        if has_grades_inside(frame_note(samples_path)):
            columns = _columns(
                read_frame(samples_path, HINT, {n: t for n, t in GRADES.items() if n != "note"}),
                {"draw": pl.Int32, **_GRADE_COLUMNS},
            )
            return Grades(**columns, note=("",) * len(columns["answer"]))
    return Grades(**_columns(read_frame(path, HINT, GRADES), {"draw": pl.Int32, **_GRADE_COLUMNS, "note": pl.String}))


def has_grades_inside(note: Mapping[str, Any] | None) -> bool:
    """Whether a unit of samples contains grades, as in schema 1, by its metadata."""
    return note is not None and note.get("schema") == 1


def read_samples(run: Run, checkpoint: str, split: str) -> Samples:
    """One unit of completions with their grades.

    Raises:
        BadRequest: either is missing or damaged, or the grades belong to other completions.
    """
    completions, grades = read_completions(run, checkpoint, split), read_grades(run, checkpoint, split)
    same_draws = np.array_equal(completions.draw, grades.draw)
    if completions.example_ids != grades.example_ids or not same_draws:
        path = run.unit_path(checkpoint, split, "grades")
        raise BadRequest(f"{path} belongs to other completions than those of the samples; {HINT}")
    columns = {name: getattr(completions, name) for name in Completions.__dataclass_fields__}
    return Samples(**columns, answer=grades.answer, correct=grades.correct)


def _frame(record: Completions | Grades, columns: Mapping[str, Any]) -> pl.DataFrame:
    ids = pl.Series("example_id", list(record.example_ids), dtype=pl.String)
    return pl.DataFrame([ids, *(pl.Series(n, list(getattr(record, n)), dtype=t) for n, t in columns.items())])


def _columns(frame: pl.DataFrame, columns: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a table as fields of a record: text as tuples, numbers as arrays."""
    ids: dict[str, Any] = {"example_ids": tuple(frame["example_id"])}
    return ids | {n: tuple(frame[n]) if t is pl.String else frame[n].to_numpy() for n, t in columns.items()}
