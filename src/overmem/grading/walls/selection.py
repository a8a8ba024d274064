"""Which wall is used, and running many programs behind it."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from overmem.errors import BadRequest
from overmem.grading.walls.bubblewrap import Bubblewrap
from overmem.grading.walls.denial import let_through
from overmem.grading.walls.monty import monty_pool, passes
from overmem.grading.walls.program import Limits, Outcome, Program, Wall
from overmem.grading.walls.sandlock import Sandlock

WALLS: dict[str, Wall] = {"bubblewrap": Bubblewrap(), "sandlock": Sandlock()}
"""Walls in the order in which they are tried."""


@lru_cache(maxsize=1)
def choose_wall() -> Wall:
    """The first wall that can be used here and was seen to deny.

    Raises:
        BadRequest: there is none; the message says why for each, and what to install.
    """
    reasons = []
    for name, wall in WALLS.items():
        reason = wall.missing()
        if not reason:
            try:
                reason = let_through(wall)
            except (OSError, RuntimeError) as error:
                reason = f"it does not start: {error}"
        if not reason:
            return wall
        reasons.append(f"{name}: {reason}")
    raise BadRequest(
        f"no program is run, because no wall can be relied on here ({'; '.join(reasons)}); install `overmem[code]`"
    )


def run_programs(
    programs: Sequence[Program],
    wall: Wall,
    limits: Limits | None = None,
    *,
    first_pass: bool = True,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Outcome]:
    """The outcome of every program, in their order; as many at once as there are processors.

    Args:
        programs: what to run.
        wall: from `choose_wall`.
        limits: of each program.
        first_pass: whether Monty may say beforehand that a program is right, where it is installed.
        advance: called with 1 after each program.
    """
    bounds = limits or Limits()
    with monty_pool(bounds) as pool, ThreadPoolExecutor(_processors()) as threads:

        def outcome(program: Program) -> Outcome:
            if first_pass and pool is not None and passes(pool, program, bounds):
                result = Outcome("right", "by the first pass")
            else:
                result = wall.run(program, bounds)
            advance(1)
            return result

        return list(threads.map(outcome, programs))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
