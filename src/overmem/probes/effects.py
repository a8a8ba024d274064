"""The smallest difference that matters, for every kind of consequence."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Effect:
    """A kind of consequence."""

    smallest: float
    """The smallest difference that matters, in its own unit: a fraction for shares."""
    is_accuracy: bool = False
    """Whether it is a share of right answers, which also varies between equally good checkpoints."""
    is_privacy: bool = False
    """Whether it is what an attacker learns about training rows, rather than a harm."""


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
"""Prefix of a consequence's name -> its kind. 0.03 is the margin of accuracy; half a text means that in every other
question one more completion repeats another; the others are about a twentieth of their scale."""


def effect_of(name: str) -> Effect | None:
    """The kind of a consequence; None for one of a third-party probe."""
    return next((effect for prefix, effect in EFFECTS.items() if name.startswith(prefix)), None)
