"""What a verdict means for a pipeline: conditions that fail it, as an exit code."""

from collections.abc import Callable, Mapping, Sequence

from overmem.errors import unknown
from overmem.records import REGIMES, Verdict

FAIL_ON: Mapping[str, Callable[[Verdict], bool]] = {
    "never": lambda verdict: False,
    "confirmed": lambda verdict: verdict.regime == "over-memorized" and verdict.harm_confirmed,
    "over-memorized": lambda verdict: verdict.regime == "over-memorized",
    "over-fitted": lambda verdict: verdict.regime == "over-fitted",
    "unhealthy": lambda verdict: REGIMES[verdict.regime].is_unhealthy,
    "undecided": lambda verdict: verdict.regime == "undecided",
}
"""What may fail a pipeline: `confirmed` is over-memorization with a confirmed cost."""


def check_conditions(fail_on: Sequence[str]) -> None:
    """Refuse conditions that are not in FAIL_ON, before any work.

    Raises:
        BadRequest: the message lists the allowed ones.
    """
    for name in fail_on:
        if name not in FAIL_ON:
            raise unknown("--fail-on condition", name, FAIL_ON)


def exit_code(verdict: Verdict, fail_on: Sequence[str]) -> int:
    """1 where the verdict meets one of the conditions, else 0.

    Raises:
        BadRequest: a condition that is not in FAIL_ON.
    """
    check_conditions(fail_on)
    return int(any(FAIL_ON[name](verdict) for name in fail_on))
