"""Units that were imported from another harness's logs: completions and grades of known questions, and summed nll.

An imported unit names its origin. It is of no request of ours: the questions that it answers identify it, so an audit
of the same questions takes its completions over instead of completing again, and adds the scores that a log lacks.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from overmem.records import Completions, Grades, Samples
from overmem.store.files import frame_note, read_frame, write_frame
from overmem.store.paths import Run
from overmem.store.units import write_grades, write_samples

HINT = "run `overmem import` to make it again"
_TOTALS = {"example_id": pl.String, "nll_sum": pl.Float64, "token_count": pl.Int64}
REQUEST = "imported"
"""Request of a split that no audit has planned yet."""


@dataclass(frozen=True)
class SolutionTotals:
    """The summed nll of each reference solution, where a log has no more than that."""

    example_ids: tuple[str, ...]
    nll_sums: Float[np.ndarray, " examples"]
    """In nats."""
    token_counts: Int[np.ndarray, " examples"]


def write_imported_samples(
    run: Run, checkpoint: str, split: str, samples: Samples, grades: Grades, *, origin: str, grader: str, request: str
) -> None:
    """Write completions and grades that a log holds.

    Args:
        run: the run.
        checkpoint: name of the checkpoint.
        split: name of the split.
        samples: the completions, graded.
        grades: the same grades with their notes.
        origin: the harness, and the metric that graded them: `lm-eval exact_match`.
        grader: name and version of overmem's grader, where that graded them; empty: the harness did.
        request: the plan's request of the split.
    """
    note = {"weights": "", "request": request}
    plain = {name: getattr(samples, name) for name in Completions.__dataclass_fields__}
    write_samples(run, checkpoint, split, Completions(**plain), **note, origin=origin)
    graded_by = {"grader": grader} if grader else {"grader": origin, "origin": origin}
    write_grades(run, checkpoint, split, grades, **note, **graded_by)


def write_totals(run: Run, checkpoint: str, split: str, totals: SolutionTotals, *, origin: str, request: str) -> None:
    """Write the summed nll of solutions that a log holds.

    Args:
        run: the run.
        checkpoint: name of the checkpoint.
        split: name of the split.
        totals: one per solution.
        origin: the harness that measured them.
        request: the plan's request of the split.
    """
    columns = {
        "example_id": pl.Series(list(totals.example_ids), dtype=pl.String),
        "nll_sum": pl.Series(totals.nll_sums, dtype=pl.Float64),
        "token_count": pl.Series(totals.token_counts, dtype=pl.Int64),
    }
    path = run.unit_path(checkpoint, split, "nll")
    write_frame(path, pl.DataFrame(columns), weights="", request=request, origin=origin)


def read_totals(run: Run, checkpoint: str, split: str) -> SolutionTotals:
    """The summed nll of solutions.

    Raises:
        BadRequest: missing or damaged.
    """
    frame = read_frame(run.unit_path(checkpoint, split, "nll"), HINT, _TOTALS)
    return SolutionTotals(tuple(frame["example_id"]), frame["nll_sum"].to_numpy(), frame["token_count"].to_numpy())


def origin_of(run: Run, checkpoint: str, split: str, kind: str) -> str:
    """The harness that a unit was imported from; empty for our own and for none."""
    return str((frame_note(run.unit_path(checkpoint, split, kind)) or {}).get("origin", ""))


def answers_all(run: Run, checkpoint: str, split: str, ids: Collection[str], weights: str) -> bool:
    """Whether imported completions of these weights, or of weights that the log does not tell, answer all of `ids`."""
    path = run.unit_path(checkpoint, split, "samples")
    note = frame_note(path) or {}
    if not note.get("origin") or note.get("weights") not in ("", weights):
        return False
    return set(ids) <= set(read_frame(path, HINT, {"example_id": pl.String})["example_id"])


def adopt(run: Run, checkpoint: str, split: str, ids: Collection[str], *, weights: str, request: str) -> None:
    """Make imported completions those of an audit's request: only of its examples, and of these weights from now on.

    Args:
        run: the run.
        checkpoint: name of the checkpoint.
        split: name of the split.
        ids: examples of the request.
        weights: fingerprint of the checkpoint's weights.
        request: hash of the request.
    """
    for kind in ("samples", "grades"):
        path = run.unit_path(checkpoint, split, kind)
        note: dict[str, Any] = frame_note(path) or {}
        if note:
            frame = read_frame(path, HINT).filter(pl.col("example_id").is_in(list(ids)))
            kept = {key: value for key, value in note.items() if key not in ("schema", "weights", "request")}
            write_frame(path, frame, weights=weights, request=request, **kept)
