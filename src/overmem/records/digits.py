"""Numbers with their intervals as text, and how many decimals an nll needs."""

from math import floor, log10

from overmem.records.measurements import Estimate

USUAL = 3
MOST = 7


def decimals_of(*nlls: float | None) -> int:
    """Decimals of these nlls and of their differences: three, or as many as give the smallest two significant digits.

    With three, 0.0042 and 0.0038 would be the same number.

    Args:
        nlls: in nats; those that are None or not positive do not count.

    >>> decimals_of(1.234), decimals_of(0.05, None), decimals_of(0.0042, 0.3), decimals_of()
    (3, 3, 4, 3)
    """
    smallest = min((x for x in nlls if x is not None and x > 0), default=1.0)
    return min(max(USUAL, 1 - floor(log10(smallest))), MOST)


def with_interval(estimate: Estimate, digits: int = USUAL) -> str:
    """A value with its interval; a dash where it was not measured.

    >>> with_interval(Estimate(0.5, 0.4, 0.6)), with_interval(Estimate(None))
    ('0.500 (0.400 to 0.600)', '–')
    """
    if estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    value, low, high = (round(x, digits) + 0.0 for x in (estimate.value, estimate.low, estimate.high))
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
