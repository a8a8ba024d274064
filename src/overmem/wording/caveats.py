"""What the reader must know before believing the rest of a verdict."""

from collections.abc import Sequence

from overmem.records import Estimate, Measurement
from overmem.verdict.assess import Assessment
from overmem.wording.numbers import capital, format_interval, format_n, parenthetical

BLIND = 0.5
"""A limit that is more than this share of the nll itself cannot be relied on to see it rise."""

CUT = 0.02
"""Share of answers that ran into the length limit which is worth a word."""


def caveats(
    known: Assessment,
    *,
    d_nll: float,
    unsure: str,
    selected_on: str,
    confirmed: bool,
    gone: Sequence[str],
    cut: Sequence[str] = (),
    cut_off: Sequence[Measurement] = (),
    limit: int | None = None,
) -> tuple[str, ...]:
    """Warnings, a sentence each.

    Args:
        known: of the run.
        d_nll: the limit of perplexity, in nats per token.
        unsure: why train and val could not be compared; empty where they could.
        selected_on: split that checkpoints were judged on.
        confirmed: whether the choice was confirmed on another.
        gone: checkpoints that were audited and are no longer on disk.
        cut: splits that were cut out of training rows which the run may have been trained on.
        cut_off: shares of answers that ran into the length limit.
        limit: that was asked for, in tokens.
    """
    said = []
    if cut:
        were = f"{capital(' and '.join(cut))} {'were' if len(cut) > 1 else 'was'}"
        said.append(
            f"{were} cut out of the training rows of the data that was given: if the run was trained on those too, "
            "nothing was held out, and none of this holds."
        )
    if unsure:
        said.append(unsure)
    said += _cut_off(cut_off, limit)
    if selected_on != "val":
        said.append("There is no val split: checkpoints were judged and chosen on test, which flatters the choice.")
    elif not confirmed:
        said.append("There is no test split: the choice was not confirmed on other examples.")
    if gone:
        said.append(f"Audited, but no longer on disk, so not recommended: {', '.join(gone)}.")
    lost = [v.checkpoint.name for v in known.verdicts if v.nll.value is None or v.accuracy.value is None]
    if lost and all(v.accuracy.value is None for v in known.verdicts):
        said.append(
            "No answers were measured, and perplexity alone cannot tell over-memorization from over-fitting, so no "
            "checkpoint is judged; perplexity, membership and memorization are measured all the same."
        )
    elif lost:
        said.append(f"Not judged, because something was not measured there: {', '.join(lost)}.")
    said += _blind(known, d_nll)
    if known.over_base is not None and known.over_base.value is not None and known.shipped:
        said += _no_better(known, known.over_base)
    return tuple(said)


def _cut_off(shares: Sequence[Measurement], limit: int | None) -> list[str]:
    """Where answers were cut, at the trained checkpoint with the most of them."""
    known = [m for m in shares if m.step > 0 and m.value is not None and m.value > CUT]
    if not known:
        return []
    worst = max(known, key=lambda m: m.value or 0.0)
    asked = "" if limit is None else f"--max-new-tokens {limit}"
    shown = parenthetical(format_interval(worst.low, worst.high, ".1f", 100), format_n(worst.n), asked)
    return [
        f"{100 * (worst.value or 0.0):.1f}% of the answers at {worst.checkpoint} on {worst.split} ran into the length "
        f"limit{shown} and were read as far as they came, which can look like lost accuracy; audit with a larger "
        "--max-new-tokens (a model that has not learned to stop runs into any)."
    ]


def _blind(known: Assessment, d_nll: float) -> list[str]:
    """Where the solutions are so predictable that the limit is most of their nll; and what it does not see then."""
    lowest = min((v.nll.value for v in known.verdicts if v.nll.value is not None), default=None)
    if not lowest or d_nll <= BLIND * lowest:
        return []
    said = (
        f"The solutions are predictable ({lowest:.3f} nats per token at the minimum), so a limit of {d_nll:g} lets "
        f"their nll rise by {100 * d_nll / lowest:.0f}% before that is called costly; judge with a lower --d-nll."
    )
    last = known.trained[-1].excess if known.trained else None
    if last is not None and last.value is not None and last.low is not None and last.low > 0 and last.value < d_nll:
        shown = parenthetical(format_interval(last.low, last.high), format_n(last.n))
        said += f" At {known.trained[-1].checkpoint.name} it has risen by {last.value:.3f}{shown}."
    return [said]


def _no_better(known: Assessment, more: Estimate) -> list[str]:
    """Where the training is not shown to have gained anything."""
    low, high = more.low, more.high
    if low is None or high is None or low > 0:
        return []
    shown = parenthetical(format_interval(low, high, "+.1f", 100), format_n(more.n))
    size = f"{100 * (more.value or 0.0):+.1f} points on {'test' if known.tested else 'val'}{shown}"
    if high < 0:
        return [
            f"The base model is more accurate than {known.shipped}, which lies {size} from it: this training did harm."
        ]
    return [f"{known.shipped} is not shown to be more accurate than the base model: {size}."]
