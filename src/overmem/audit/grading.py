"""Grades a unit as soon as it is observed, so that the units of an interrupted audit can be measured."""

from collections.abc import Callable

from overmem import store
from overmem.observe.grades import update_grades
from overmem.observe.work import WorkUnit
from overmem.tasks import Data, functions_of


def trusted_graders(data: Data | None) -> frozenset[str]:
    """The functions "module:function" that the user named in the data, so that they may be called."""
    return frozenset(functions_of(data)) if data is not None else frozenset()


def unit_grader(run: store.Run, data: Data | None, *, run_code: bool) -> Callable[[WorkUnit], None]:
    """A function that grades a unit's completions.

    Args:
        run: the run.
        data: the source of the examples that the user named; only the graders "module:function" in it are called. None
            for a worker: such units are graded at the end.
        run_code: whether programs in completions may be run, in a sandbox.
    """
    trusted = trusted_graders(data)

    def grade_unit(unit: WorkUnit) -> None:
        if "samples" in unit.kinds:
            requests = {unit.split.name: unit.split.request}
            update_grades(run, [unit.checkpoint], requests, trusted=trusted, say=lambda line: None, run_code=run_code)

    return grade_unit
