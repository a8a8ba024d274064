"""Records: the grade of a completion, and a grader."""

import hashlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from overmem.grading.sandboxes.program import Limits, Sandbox
from overmem.records import Example

Status: TypeAlias = Literal["right", "wrong", "error", "timeout", "refused"]
"""`error` and `timeout`: a program failed or did not end. `refused`: not graded, or the sandbox denied something."""
STATUSES: Final[tuple[str, ...]] = get_args(Status)


@dataclass(frozen=True)
class Grade:
    """The grade of one completion."""

    status: Status
    answer: str = ""
    """The answer in the text; empty if there is none. Right answers have the text of the reference answer, and other
    equal answers the same text where the grader can normalise them."""
    reason: str = ""
    """Why it is not right, unless the answer simply differs."""

    @property
    def correct(self) -> bool:
        """Whether it counts as right."""
        return self.status == "right"


@dataclass(frozen=True)
class Grader:
    """A function that grades one completion, and its version."""

    grade: Callable[[str, Example], Grade]
    """(completion, example with the reference answer) -> Grade. It must not raise for any text."""
    version: str
    """Change it whenever the grader changes: all completions are then graded again."""

    run: Callable[[Sequence[str], Sequence[Example], Sandbox, Limits], list[Grade]] | None = None
    """For a grader that runs programs: the grades of many completions, in a sandbox. `grade` is then used if programs
    must not be run."""

    def __call__(self, text: str, example: Example) -> Grade:
        """The grade of one completion."""
        return self.grade(text, example)


def grader_from(function: Callable[[str, Example], Grade]) -> Grader:
    """A user's function as a grader. Its version is its attribute `version`, or a hash of its source file."""
    version = getattr(function, "version", None)
    if version is None:
        try:
            source = inspect.getsource(inspect.getmodule(function) or function)
        except (OSError, TypeError):
            source = repr(function)
        version = hashlib.sha256(source.encode()).hexdigest()[:12]
    return Grader(function, str(version))
