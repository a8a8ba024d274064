"""Grading a unit as soon as it is observed: an audit that is stopped leaves units that can be measured."""

from collections.abc import Callable

from overmem import store
from overmem.observe.grades import update_grades
from overmem.observe.work import WorkUnit
from overmem.tasks import Data, functions_of


def trusted_graders(data: Data | None) -> frozenset[str]:
    """The functions "module:function" that the user named with the data, and that may therefore be called."""
    return frozenset(functions_of(data)) if data is not None else frozenset()


def unit_grader(run: store.Run, data: Data | None, *, run_code: bool) -> Callable[[WorkUnit], None]:
    """A function that grades a unit's completions.

    Args:
        run: the run.
        data: what the user named as the source of the examples: graders of their own in it are called. None for a
            worker, which was named none: those units are graded at the end.
        run_code: whether programs in completions may be run, in a sandbox.
    """
    trusted = trusted_graders(data)

    def grade_unit(unit: WorkUnit) -> None:
        if "samples" in unit.kinds:
            requests = {unit.split.name: unit.split.request}
            update_grades(run, [unit.checkpoint], requests, trusted=trusted, say=lambda line: None, run_code=run_code)

    return grade_unit
