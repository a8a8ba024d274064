"""Decides whether the values of a metric are fractions, percentages or neither."""

import numpy as np
from jaxtyping import Float

TOLERANCE = 1e-4
"""How far a fraction may exceed 1: means in float32 give 1.0000001."""


def as_fraction(
    values: Float[np.ndarray, " checkpoints"], name: str, *, is_error: bool = False, is_signed: bool = False
) -> tuple[Float[np.ndarray, " checkpoints"] | None, str]:
    """The values as fractions, and a note on the conversion; None if they are neither fractions nor percentages.

    Args:
        values: as logged; NaN where there is none.
        name: name of the metric, for the note.
        is_error: whether it is an error rate, which may exceed 1 because of insertions.
        is_signed: whether it may run from -1 to 1, as a correlation does.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return values, ""
    low, high = float(finite.min()), float(finite.max())
    if is_signed and low < 0 and max(-low, high) <= 1 + TOLERANCE:
        return values, ""
    if low < -TOLERANCE or (high > 100 + TOLERANCE and not (is_error and high < 1000)):
        return None, (
            f"{name} runs from {low:.4g} to {high:.4g}: neither a fraction nor a percentage, so it was not used."
        )
    if high <= 1 + TOLERANCE or (is_error and high <= 2):
        return np.clip(values, 0.0, 1.0) if not is_error else values, ""
    note = f"{name} was read as percent, because it reaches {high:.4g}."
    if low < 1 and np.median(finite) <= 1:
        note += (
            f" Most of its values are below 1, though (the lowest is {low:.4g}): check that they are percent as well."
        )
    return values / 100, note
