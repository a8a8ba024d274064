"""Choose a sandbox, and run many programs in it."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from overmem.errors import BadRequest
from overmem.grading.sandboxes.bubblewrap import Bubblewrap
from overmem.grading.sandboxes.check import failed_check
from overmem.grading.sandboxes.monty import monty_pool, passes
from overmem.grading.sandboxes.program import Limits, Outcome, Program, Sandbox
from overmem.grading.sandboxes.sandlock import Sandlock

SANDBOXES: dict[str, Sandbox] = {"bubblewrap": Bubblewrap(), "sandlock": Sandlock()}
"""Sandboxes, in the order in which they are tried."""


@lru_cache(maxsize=1)
def choose_sandbox() -> Sandbox:
    """The first sandbox that can be used here and passes its check.

    Raises:
        BadRequest: there is none; the message gives the reason for each, and what to install.
    """
    reasons = []
    for name, sandbox in SANDBOXES.items():
        reason = sandbox.missing()
        if not reason:
            try:
                reason = failed_check(sandbox)
            except (OSError, RuntimeError) as error:
                reason = f"it does not start: {error}"
        if not reason:
            return sandbox
        reasons.append(f"{name}: {reason}")
    raise BadRequest(
        f"no program is run, because no sandbox works here ({'; '.join(reasons)}); install `overmem[code]`"
    )


def run_programs(
    programs: Sequence[Program],
    sandbox: Sandbox,
    limits: Limits | None = None,
    *,
    first_pass: bool = True,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Outcome]:
    """The outcome of every program, in the same order; one runs per CPU.

    Args:
        programs: the programs.
        sandbox: the sandbox, from `choose_sandbox`.
        limits: limits of each program.
        first_pass: whether Monty, if installed, may decide first that a program is right.
        advance: called with 1 after each program.
    """
    bounds = limits or Limits()
    with monty_pool(bounds) as pool, ThreadPoolExecutor(_processors()) as threads:

        def outcome(program: Program) -> Outcome:
            if first_pass and pool is not None and passes(pool, program, bounds):
                result = Outcome("right", "in the first pass")
            else:
                result = sandbox.run(program, bounds)
            advance(1)
            return result

        return list(threads.map(outcome, programs))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
