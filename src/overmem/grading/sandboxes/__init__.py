"""Sandboxes for programs that a model wrote.

They are used with `--run-code` only, and only after a check: before the first program,
`overmem.grading.sandboxes.check` tries inside the sandbox to read and write files outside, to connect to a socket and
to start processes. A sandbox that allows any of these is refused.
"""

from overmem.grading.sandboxes.bubblewrap import Bubblewrap
from overmem.grading.sandboxes.program import Limits, Outcome, Program, Sandbox
from overmem.grading.sandboxes.sandlock import Sandlock
from overmem.grading.sandboxes.selection import SANDBOXES, choose_sandbox, run_programs

__all__ = [
    "SANDBOXES",
    "Bubblewrap",
    "Limits",
    "Outcome",
    "Program",
    "Sandbox",
    "Sandlock",
    "choose_sandbox",
    "run_programs",
]
