"""Numbers as text: percentages, points, intervals, counts."""

from collections.abc import Sequence

from overmem.records import Estimate


def is_within_noise(difference: Estimate) -> bool:
    """Whether the interval of a difference has 0 in it."""
    return difference.low is not None and difference.high is not None and difference.low <= 0 <= difference.high


def listed(names: Sequence[str]) -> str:
    """Names in a row.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def percent(value: float | None) -> str:
    """A fraction as percent, with one digit; a dash where there is none.

    >>> percent(0.7149)
    '71.5%'
    """
    if value is None:
        return "–"
    return f"{round(100 * value, 1) + 0.0:.1f}%"


def points(value: float) -> str:
    """The size of a difference of fractions, in percentage points.

    >>> points(-0.031), points(0.01)
    ('3.1 points', '1.0 point')
    """
    size = f"{abs(100 * value):.1f}"
    return f"{size} point" if size == "1.0" else f"{size} points"


def format_interval(low: float | None, high: float | None, form: str = ".3f", scale: float | int = 1) -> str:
    """The 95% interval in words; empty where there is none.

    >>> format_interval(0.041, 0.059), format_interval(None, None)
    ('95% interval 0.041 to 0.059', '')
    """
    if low is None or high is None:
        return ""
    return f"95% interval {_unsigned_0(scale * low, form)} to {_unsigned_0(scale * high, form)}"


def _unsigned_0(value: float, form: str) -> str:
    """The number as text, a zero without the minus that rounding leaves."""
    text = f"{value:{form}}"
    return text.removeprefix("-") if text.startswith("-") and not text.strip("-0.,") else text


def parenthetical(*parts: str) -> str:
    """The parts that are not empty, in brackets; nothing where all are.

    >>> parenthetical("95% interval 1 to 2", "", "n = 10"), parenthetical("")
    (' (95% interval 1 to 2, n = 10)', '')
    """
    text = ", ".join(p for p in parts if p)
    return f" ({text})" if text else ""


def format_n(n: int) -> str:
    """How many examples a number rests on; empty where it is not known.

    >>> format_n(1200), format_n(0)
    ('n = 1,200', '')
    """
    return f"n = {n:,}" if n else ""


def format_count(count: int) -> str:
    """A count to two digits, rounded up, with thousands separated.

    >>> format_count(1934), format_count(87)
    ('2,000', '87')
    """
    size = 10 ** max(len(str(count)) - 2, 0)
    return f"{-(-count // size) * size:,}"


def capital(text: str) -> str:
    """The text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def signed_points(difference: float) -> str:
    """A difference of fractions in percentage points, with its sign.

    >>> signed_points(0.012), signed_points(-0.005), signed_points(-0.0001)
    ('+1.2', '-0.5', '0.0')
    """
    size = f"{100 * difference:+.1f}"
    return "0.0" if size in ("+0.0", "-0.0") else size


def signed_nats(difference: float) -> str:
    """A difference of nlls with its sign, a zero without.

    >>> signed_nats(0.0824), signed_nats(-0.0002)
    ('+0.082', '0.000')
    """
    size = f"{difference:+.3f}"
    return "0.000" if size in ("+0.000", "-0.000") else size
