"""Runs that learned nothing: accuracy and loss are those of guessing among a few choices."""

from dataclasses import replace
from math import log

from overmem.records import CheckpointVerdict

MOST_CHOICES = 10
CHANCE_NLL = 0.02
"""Nats around ln(choices) in which a loss is that of guessing."""
CHANCE_ACCURACY = 0.05
"""Around 1 / choices, in which an accuracy is that of guessing."""


def without_chance(verdicts: tuple[CheckpointVerdict, ...]) -> tuple[CheckpointVerdict, ...]:
    """No checkpoint is called healthy where the whole run only guesses among a few choices."""
    trained = [v for v in verdicts if v.checkpoint.step > 0 and not v.checkpoint.merged_from and v.is_judged]
    for count in range(2, MOST_CHOICES + 1) if trained else ():
        if all(_is_chance(v, count) for v in trained):
            return tuple(
                replace(v, regime="undecided", tests=replace(v.tests, solvable=False, choices_at_chance=count))
                if v.is_judged
                else v
                for v in verdicts
            )
    return verdicts


def _is_chance(verdict: CheckpointVerdict, count: int) -> bool:
    nll, accuracy = verdict.nll.value, verdict.accuracy.value
    if nll is None or accuracy is None:
        return False
    return abs(nll - log(count)) < CHANCE_NLL and abs(accuracy - 1 / count) < CHANCE_ACCURACY
