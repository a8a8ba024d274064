"""Numbers as text: a value with its unit and its 95% interval, and never a bare NaN."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from overmem.records import Estimate
from overmem.report.findings import has_value
from overmem.statistics import exponential


@dataclass(frozen=True)
class Unit:
    """How one kind of quantity is written."""

    write: Callable[[float], str]
    suffix: str = ""
    joint: str = "–"
    """Between the ends of an interval; words where a minus sign could be taken for it."""


STATES = {"confirmed": "confirmed", "absent": "too small to matter", "not shown": "neither shown nor excluded"}
"""What is known of a consequence, as a reader understands it."""


def three_digits(value: float) -> str:
    """A positive quantity with three significant digits and no exponent where none is needed.

    >>> three_digits(1.5512), three_digits(23.46), three_digits(1234.5)
    ('1.55', '23.5', '1,234')
    """
    size = abs(value)
    if size >= 1e7 or 0 < size < 1e-3:
        return f"{value:.2e}"
    return f"{value:,.{2 if size < 10 else 1 if size < 100 else 0}f}" if size >= 0.1 or size == 0 else f"{value:.3f}"


def signed(value: float, digits: int) -> str:
    """A difference with its sign, a true minus, and no sign on a zero."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def perplexity_of(nll: Estimate) -> Estimate:
    """Perplexity with its interval, from nats per token."""
    return exponential(nll)


def perplexity_text(nll: float) -> str:
    """Perplexity, from nats per token."""
    return three_digits(math.exp(min(nll, 700.0)))


UNITS: Mapping[str, Unit] = {
    "percent": Unit(lambda x: f"{100 * x:.1f}", "%"),
    "points": Unit(lambda x: signed(100 * x, 1), " points", " to "),
    "ppl": Unit(perplexity_text),
    "perplexity": Unit(three_digits),
    "nll": Unit(lambda x: f"{x:.3f}"),
    "excess": Unit(lambda x: signed(x, 3), "", " to "),
    "difference": Unit(lambda x: signed(x, 3), "", " to "),
    "step": Unit(lambda x: f"{x:,.0f}"),
    "epoch": Unit(lambda x: f"{x:.3g}"),
    "share": Unit(lambda x: signed(100 * x, 1).removeprefix("+"), "%", " to "),
    "p": Unit(lambda x: "< 0.001" if x < 0.001 else f"{x:.3f}"),
    "number": Unit(three_digits, "", " to "),
}


def value_text(estimate: Estimate, unit: str) -> str:
    """The value alone, with its unit; a dash where there is none."""
    if not has_value(estimate):
        return "—"
    assert estimate.value is not None
    return UNITS[unit].write(estimate.value) + UNITS[unit].suffix


def interval_text(estimate: Estimate, unit: str) -> str:
    """The 95% interval alone; empty where there is none."""
    if not has_value(estimate) or estimate.low is None or estimate.high is None:
        return ""
    low, high = UNITS[unit].write(estimate.low), UNITS[unit].write(estimate.high)
    joint = UNITS[unit].joint if low[0].isdigit() and high[0].isdigit() else " to "  # no dash next to a minus sign
    return f"{low}{joint}{high}"


def estimate_text(estimate: Estimate, unit: str) -> str:
    """Value and interval as plain text, or the reason why there is none."""
    if not has_value(estimate):
        return f"no value ({estimate.note or 'not measured'})"
    interval = interval_text(estimate, unit)
    return value_text(estimate, unit) + (f" ({interval})" if interval else "")


def estimate_html(estimate: Estimate, unit: str, *, with_n: bool = False) -> Markup:
    """Value and interval as HTML, or the reason why there is none."""
    if not has_value(estimate):
        return Markup('<span class="none">{}</span>').format(estimate.note or "not measured")
    html = Markup('<span class="value">{}</span>').format(value_text(estimate, unit))
    interval = interval_text(estimate, unit)
    if interval:
        html += Markup(' <span class="interval">{}</span>').format(interval)
    if with_n and estimate.n:
        html += Markup(' <span class="interval">n = {}</span>').format(f"{estimate.n:,}")
    return html


def remarks(estimates: Iterable[Estimate]) -> list[str]:
    """The notes of numbers that have a value, each once."""
    return list(dict.fromkeys(e.note for e in estimates if has_value(e) and e.note))


def shared_n(estimates: Iterable[Estimate]) -> int | None:
    """The n behind all of these numbers, or None where they differ or there is none."""
    sizes = {e.n for e in estimates if has_value(e)}
    return sizes.pop() or None if len(sizes) == 1 else None
