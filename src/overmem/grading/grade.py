"""What a grader returns, and what a grader is."""

import hashlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from overmem.grading.walls.program import Limits, Wall
from overmem.records import Example

Status: TypeAlias = Literal["right", "wrong", "error", "timeout", "refused"]
"""`error` and `timeout` are programs that failed or did not end; `refused` is a completion that was not graded."""
STATUSES: Final[tuple[str, ...]] = get_args(Status)


@dataclass(frozen=True)
class Grade:
    """One completion, graded."""

    status: Status
    answer: str = ""
    """The answer read from the text, empty if there is none. Equal answers of one question are written alike as far as
    the grader can tell; a right one is written as the reference answer is."""
    reason: str = ""
    """Why it is not right, where there is more to say than that the answer differs."""

    @property
    def correct(self) -> bool:
        """Whether it counts as right."""
        return self.status == "right"


@dataclass(frozen=True)
class Grader:
    """A function that grades one completion, and the version of what it does."""

    grade: Callable[[str, Example], Grade]
    """(text of the completion, the example with its reference answer) -> Grade. It never raises on any text."""
    version: str
    """Changed whenever some text may be graded otherwise: every completion is then graded again."""

    run: Callable[[Sequence[str], Sequence[Example], Wall, Limits], list[Grade]] | None = None
    """For a grader that runs what a completion gives as a program: grades of many completions, behind a wall. `grade`
    is what it says where nothing may be run."""

    def __call__(self, text: str, example: Example) -> Grade:
        """The grade of one completion."""
        return self.grade(text, example)


def grader_from(function: Callable[[str, Example], Grade]) -> Grader:
    """A function of one's own as a grader: its version is its attribute `version`, else a hash of its source file."""
    version = getattr(function, "version", None)
    if version is None:
        try:
            source = inspect.getsource(inspect.getmodule(function) or function)
        except (OSError, TypeError):
            source = repr(function)
        version = hashlib.sha256(source.encode()).hexdigest()[:12]
    return Grader(function, str(version))
