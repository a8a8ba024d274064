"""Some columns of a unit, of all its examples or of a few: what a reader of single examples needs."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from overmem.records import TEMPERATURES
from overmem.store.files import frame_note, read_frame
from overmem.store.paths import Run
from overmem.store.units import GRADES, HINT, SAMPLES, SCORES, has_grades_inside

_COLUMNS = {"scores": SCORES, "samples": SAMPLES, "grades": GRADES}
_OPTIONAL = ("note",)
"""Columns that schema 1 lacks."""


def read_nll_sums(run: Run, checkpoint: str, split: str) -> dict[str, float]:
    """Example id -> summed solution nll, in nats.

    Raises:
        BadRequest: missing or damaged.
    """
    frame = read_frame(run.unit_path(checkpoint, split, "scores"), HINT, _some(SCORES, "tempered_nll"))
    sums = frame["tempered_nll"].list.get(TEMPERATURES.index(1.0), null_on_oob=True)
    return dict(zip(frame["example_id"], sums, strict=True))


def read_token_counts(run: Run, checkpoint: str, split: str) -> dict[str, int]:
    """Example id -> number of solution tokens, the same at every checkpoint.

    Raises:
        BadRequest: missing or damaged.
    """
    frame = read_frame(run.unit_path(checkpoint, split, "scores"), HINT, _some(SCORES, "logprob"))
    return dict(zip(frame["example_id"], frame["logprob"].list.len(), strict=True))


def read_greedy_marks(run: Run, checkpoint: str, split: str) -> dict[str, tuple[bool, str]]:
    """Example id -> whether its greedy completion is right, and why it stopped.

    Raises:
        BadRequest: missing or damaged.
    """
    samples = read_frame(run.unit_path(checkpoint, split, "samples"), HINT, _some(SAMPLES, "draw", "stop"))
    graded = read_frame(_grades_path(run, checkpoint, split), HINT, _some(GRADES, "draw", "correct"))
    stops, grades = (frame.filter(pl.col("draw") == 0) for frame in (samples, graded))
    stop = dict(zip(stops["example_id"], stops["stop"], strict=True))
    return {i: (right, stop.get(i, "")) for i, right in zip(grades["example_id"], grades["correct"], strict=True)}


def read_rows(
    run: Run, checkpoint: str, split: str, kind: str, columns: Sequence[str], ids: Collection[str]
) -> list[dict[str, Any]]:
    """The rows of these examples in a unit, in its order.

    Args:
        run: the run.
        checkpoint: name of the checkpoint.
        split: name of the split.
        kind: `scores`, `samples` or `grades`; a column that grades of schema 1 lack is left out.
        columns: those to read; `example_id` is added.
        ids: of the examples.

    Raises:
        BadRequest: missing or damaged.
    """
    path = _grades_path(run, checkpoint, split) if kind == "grades" else run.unit_path(checkpoint, split, kind)
    frame = read_frame(path, HINT, _some(_COLUMNS[kind], *columns), optional=_OPTIONAL)
    return frame.filter(pl.col("example_id").is_in(list(ids))).to_dicts()


def _some(schema: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: schema[name] for name in ("example_id", *names)}


def read_grader(run: Run, checkpoint: str, split: str) -> str:
    """Name and version of what graded a unit, `math 2`; empty where it is not known."""
    return str((frame_note(run.unit_path(checkpoint, split, "grades")) or {}).get("grader", ""))


def _grades_path(run: Run, checkpoint: str, split: str) -> Any:
    """Where the grades are: in a separate file, or, in schema 1, among the samples."""
    path = run.unit_path(checkpoint, split, "grades")
    samples = run.unit_path(checkpoint, split, "samples")
    return samples if not path.is_file() and has_grades_inside(frame_note(samples)) else path
