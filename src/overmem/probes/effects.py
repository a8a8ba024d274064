"""The smallest difference that matters, of every consequence: one table."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Effect:
    """A kind of consequence."""

    smallest: float
    """Difference from which it matters, in its own unit: a fraction for shares."""
    is_accuracy: bool = False
    """Whether it is a share of right answers, so that the luck of checkpoints moves it."""
    is_privacy: bool = False
    """Whether it is what an attacker learns about training rows, and not a harm."""


EFFECTS: Mapping[str, Effect] = {
    "robustness": Effect(0.03, is_accuracy=True),
    "ood": Effect(0.03, is_accuracy=True),
    "pass@": Effect(0.03, is_accuracy=True),
    "best-of-": Effect(0.03, is_accuracy=True),
    "diversity (texts)": Effect(0.5),
    "diversity (solutions)": Effect(0.05),
    "calibration": Effect(0.03),
    "membership": Effect(0.05, is_privacy=True),
    "extraction": Effect(0.05, is_privacy=True),
}
"""Beginning of a consequence's name -> its kind. Three points are the margin of accuracy; half a text is one more
completion in every other question that repeats another; the others are a twentieth of their scale."""


def effect_of(name: str) -> Effect | None:
    """The kind of a consequence; None for one that a probe of the user's own measures."""
    return next((effect for beginning, effect in EFFECTS.items() if name.startswith(beginning)), None)
