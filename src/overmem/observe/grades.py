"""Grading as a stage of its own: every completion whose grades are not current is graded, without a model."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from overmem import store
from overmem.grading import grade, graders_of
from overmem.store.files import frame_note


def update_grades(
    run: store.Run,
    checkpoints: Sequence[str],
    requests: Mapping[str, str],
    *,
    trusted: Collection[str],
    say: Callable[[str], None],
) -> int:
    """Grade the completions that have no grades, or grades of another version; returns how many units were graded.

    Args:
        run: the run.
        checkpoints: names of the checkpoints.
        requests: split -> hash of the request that its completions must have been made for.
        trusted: graders "module:function" that the user asked for. Others that the run's files name are code of
            whoever wrote them, and are not imported.
        say: called with a line on what was graded, or why it was not.
    """
    graded, graders = 0, set()
    for split, request in requests.items():
        units = [(name, note) for name in checkpoints if (note := _samples_note(run, name, split, request))]
        if not units:
            continue
        examples = store.read_examples(run, split)
        if unknown := {e.kind for e in examples if ":" in e.kind} - set(trusted):
            say(f"{split}: not graded by {', '.join(sorted(unknown))}, which the run's own files name; give --data")
            continue
        grader = graders_of(examples)
        for name, note in units:
            unit = {"weights": note["weights"], "request": request, "grader": grader}
            if not store.is_unit_current(run, name, split, "grades", **unit):
                grades = grade(store.read_completions(run, name, split), examples)
                store.write_grades(run, name, split, grades, **unit)
                graded += 1
                graders.add(grader)
    if graded:
        say(f"completions of {graded} units graded by {'; '.join(sorted(graders))}")
    return graded


def _samples_note(run: store.Run, checkpoint: str, split: str, request: str) -> dict[str, Any] | None:
    note = frame_note(run.unit_path(checkpoint, split, "samples"))
    return note if note is not None and note.get("request") == request else None
