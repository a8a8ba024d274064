"""Infers from a log how many examples its accuracy was measured on."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import ceil, floor, isfinite

import numpy as np

from overmem.statistics.grid import smallest_denominator


def rows_evaluated(entries: Sequence[Mapping[str, float | str]], prefix: str = "eval") -> int | None:
    """Rows of the evaluation set, from its logged duration times its logged speed; None if these do not determine it.

    transformers rounds the duration to four decimals and the speed to three, which brackets the count.
    """
    low, high = 1.0, float("inf")
    for entry in entries:
        seconds, speed = entry.get(f"{prefix}_runtime"), entry.get(f"{prefix}_samples_per_second")
        if isinstance(seconds, float) and isinstance(speed, float) and 0 < seconds < 1e9 and 0 < speed < 1e9:
            low = max(low, (seconds - 6e-5) * (speed - 6e-4))
            high = min(high, (seconds + 6e-5) * (speed + 6e-4))
    if not isfinite(high) or ceil(low) != floor(high):
        return None
    return ceil(low)


def printed_decimals(values: Sequence[float]) -> int:
    """Most digits after the decimal point of any value."""
    finite = [v for v in values if isfinite(v) and abs(v) < 1e15]
    return max((max(0, -int(Decimal(repr(v)).as_tuple().exponent)) for v in finite), default=0)


def examples_behind(accuracies: Sequence[float], losses: Sequence[float], *, percent: bool = False) -> int | None:
    """The smallest n for which all these accuracies are k/n; None if the digits do not determine it.

    Args:
        accuracies: as logged.
        losses: logged with them. Trailing zeros are not printed, so an accuracy of 0.25 has at least as many digits as
            the losses, but no more than four are assumed.
        percent: whether the accuracies are percentages.
    """
    decimals = max(printed_decimals(accuracies), min(printed_decimals(losses), 4))
    scale = 100.0 if percent else 1.0
    shares = np.array([a / scale for a in accuracies if isfinite(a)])
    n = smallest_denominator(shares, decimals + (2 if percent else 0))
    if n in (1_000, 10_000, 100_000):  # the values were rounded to that many digits before they were logged
        return smallest_denominator(shares, len(str(n)) - 1)
    return n
