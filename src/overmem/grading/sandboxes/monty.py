"""A fast first pass by Monty, a Python interpreter without access to its host.

It supports only a part of Python, so it may only decide that a program is right. Any other program is run again by
CPython in a sandbox.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from overmem.grading.sandboxes.comparison import comparisons, first_failure
from overmem.grading.sandboxes.harness.plain_data import encode
from overmem.grading.sandboxes.program import Limits, Program


@contextmanager
def monty_pool(limits: Limits) -> Iterator[Any | None]:
    """Monty's worker processes; None if the package is not installed."""
    if find_spec("pydantic_monty") is None:
        yield None
        return
    import pydantic_monty

    with pydantic_monty.Monty(request_timeout=limits.seconds + 2.0) as pool:
        yield pool


def passes(pool: Any, program: Program, limits: Limits) -> bool:
    """Whether Monty runs the program, and the values of its tests are as expected; they are compared outside of it.

    Tests that do not only compare with literals are left to the sandbox.
    """
    import pydantic_monty

    assertions = comparisons(program.tests)
    if not assertions:
        return False

    bounds = {"max_feed_duration_secs": limits.seconds, "max_memory": limits.memory, "max_recursion_depth": 1000}
    try:
        with pool.checkout(limits=bounds) as session:
            session.feed_run(program.source)
            values = [encode(session.feed_run(assertion.expression)) for assertion in assertions]
    except (pydantic_monty.MontyError, TimeoutError, ValueError, TypeError, RecursionError):
        return False
    return first_failure(assertions, values) is None
