"""Walls: where a program that a model wrote can run without reaching anything outside.

Nothing here runs unless somebody asked for it (`--run-code`). A wall is used only after it was seen to deny: before the
first program, `overmem.grading.walls.denial` tries to read a file outside, to write one, to reach a listening socket
and to start processes behind it. A wall that lets one of them through is refused.
"""

from overmem.grading.walls.bubblewrap import Bubblewrap
from overmem.grading.walls.program import Limits, Outcome, Program, Wall
from overmem.grading.walls.sandlock import Sandlock
from overmem.grading.walls.selection import WALLS, choose_wall, run_programs

__all__ = ["WALLS", "Bubblewrap", "Limits", "Outcome", "Program", "Sandlock", "Wall", "choose_wall", "run_programs"]
