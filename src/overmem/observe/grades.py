"""The grading stage: grades every completion without current grades. No model is loaded."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from overmem import store
from overmem.errors import BadRequest
from overmem.grading import GRADERS, grade, grader_of, graders_of
from overmem.grading.sandboxes import SANDBOXES, Sandbox, choose_sandbox
from overmem.records import Example
from overmem.store.files import frame_note
from overmem.store.imported import origin_of


def update_grades(
    run: store.Run,
    checkpoints: Sequence[str],
    requests: Mapping[str, str],
    *,
    trusted: Collection[str],
    say: Callable[[str], None],
    run_code: bool = False,
) -> int:
    """Grade the completions that have no grades, or grades of another version; returns how many units were graded.

    Args:
        run: the run.
        checkpoints: names of the checkpoints.
        requests: split -> hash of the request for which its completions must have been made.
        trusted: graders "module:function" that the user named. Others, named only in the run's files, are not imported,
            because they may be anybody's code.
        say: called with a line on what was graded, or why it was not.
        run_code: run programs in completions, in a sandbox; otherwise they are not graded, and their grades are kept.

    Raises:
        BadRequest: programs are to be run, and no sandbox works here.
    """
    graded, graders = 0, set()
    for split, request in requests.items():
        units = [(name, note) for name in checkpoints if (note := _samples_note(run, name, split, request))]
        if not units:
            continue
        examples = store.read_examples(run, split)
        if unknown := {e.kind for e in examples if ":" in e.kind} - set(trusted):
            say(f"{split}: not graded by {', '.join(sorted(unknown))}, named only in the run's files; give --data")
            continue
        sandbox = sandbox_for(examples, run_code=run_code)
        grader = graders_of(examples, sandbox)
        for name, note in units:
            unit = {"weights": note["weights"], "request": request, "grader": grader}
            if _is_graded_by_its_log(run, name, split):
                continue
            if not any(
                store.is_unit_current(run, name, split, "grades", **u)
                for u in (unit, *_graded_in_sandbox(unit, sandbox))
            ):
                try:
                    completions = store.read_completions(run, name, split)
                except BadRequest as error:
                    say(f"not graded: {error}")
                    continue
                grades = grade(completions, examples, sandbox)
                store.write_grades(run, name, split, grades, **unit)
                graded += 1
                graders.add(grader)
    if graded:
        say(f"completions of {graded} units graded by {'; '.join(sorted(graders))}")
    return graded


def sandbox_for(examples: Iterable[Example], *, run_code: bool) -> Sandbox | None:
    """The sandbox for programs in completions of these examples; None if no programs are to be run.

    Raises:
        BadRequest: programs are to be run, and no sandbox works here.
    """
    runs = run_code and any(grader_of(e.kind).run for e in examples if e.kind != "none")
    return choose_sandbox() if runs else None


def _graded_in_sandbox(unit: Mapping[str, Any], sandbox: Sandbox | None) -> list[dict[str, Any]]:
    """The unit as graded with each sandbox: without a sandbox, such grades are kept and not replaced."""
    if sandbox is not None:
        return []
    kinds = [kind for kind, grader in GRADERS.items() if grader.run is not None]
    return [
        dict(unit) | {"grader": unit["grader"].replace(grader, f"{grader} in {sandbox_name}")}
        for sandbox_name in SANDBOXES
        for kind in kinds
        if (grader := f"{kind} {GRADERS[kind].version}") in unit["grader"]
    ]


def _is_graded_by_its_log(run: store.Run, checkpoint: str, split: str) -> bool:
    """Whether imported completions keep the grades that the other harness gave them."""
    return bool(origin_of(run, checkpoint, split, "grades"))


def _samples_note(run: store.Run, checkpoint: str, split: str, request: str) -> dict[str, Any] | None:
    note = frame_note(run.unit_path(checkpoint, split, "samples"))
    return note if note is not None and note.get("request") == request else None
