"""Falls of accuracy that come back, in sentences."""

from collections.abc import Sequence

from overmem.verdict.dips import Dip
from overmem.wording.numbers import format_interval, format_n, parenthetical, percent, points


def dip_sentences(dips: Sequence[Dip]) -> list[str]:
    """A sentence for each dip; of one at the end, that it may be the beginning of a decline."""
    return [_sentence(dip) for dip in dips if dip.loss.value is not None]


def _sentence(dip: Dip) -> str:
    first, last = dip.checkpoints[0], dip.checkpoints[-1]
    where = f"at {first}" if first == last else f"from {first} to {last}"
    own, before = percent(dip.accuracy), percent(dip.before)
    shown = parenthetical(format_interval(dip.loss.low, dip.loss.high, ".1f", 100), format_n(dip.loss.n))
    size = f"{points(dip.loss.value or 0.0)} lower{shown}"
    if dip.after is None:
        return (
            f"Accuracy falls {where}, the end of the run: {own}, against {before} just before, {size}. Whether that is "
            "a dip or a decline only further checkpoints can tell."
        )
    return (
        f"Accuracy dips {where} and comes back: {own}, against {before} just before and {percent(dip.after)} just "
        f"after, {size}. That is a dip of these weights, not a decline of the run."
    )
