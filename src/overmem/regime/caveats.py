"""What the reader must know before believing the rest of a verdict."""

from collections.abc import Sequence

from overmem.records import Estimate
from overmem.regime.known import Known
from overmem.regime.words import aside, counted, span

BLIND = 0.5
"""A limit that is more than this share of the nll itself cannot be relied on to see it rise."""


def caveats(
    known: Known, *, d_nll: float, unsure: str, selected_on: str, confirmed: bool, gone: Sequence[str]
) -> tuple[str, ...]:
    """Warnings, a sentence each. `unsure`: why train and val could not be compared; `gone`: audited, not on disk."""
    said = [unsure] if unsure else []
    if selected_on != "val":
        said.append("There is no val split: checkpoints were judged and chosen on test, which flatters the choice.")
    elif not confirmed:
        said.append("There is no test split: the choice was not confirmed on other examples.")
    if gone:
        said.append(f"Audited, but no longer on disk, so not recommended: {', '.join(gone)}.")
    lost = [v.checkpoint.name for v in known.verdicts if v.nll.value is None or v.accuracy.value is None]
    if lost:
        said.append(f"Not judged, because something was not measured there: {', '.join(lost)}.")
    said += _blind(known, d_nll)
    if known.over_base is not None and known.over_base.value is not None and known.shipped:
        said += _no_better(known, known.over_base)
    return tuple(said)


def _blind(known: Known, d_nll: float) -> list[str]:
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
        shown = aside(span(last.low, last.high), counted(last.n))
        said += f" At {known.trained[-1].checkpoint.name} it has risen by {last.value:.3f}{shown}."
    return [said]


def _no_better(known: Known, more: Estimate) -> list[str]:
    """Where the training is not shown to have gained anything."""
    low, high = more.low, more.high
    if low is None or high is None or low > 0:
        return []
    shown = aside(span(low, high, "+.1f", 100), counted(more.n))
    size = f"{100 * (more.value or 0.0):+.1f} points on {'test' if known.tested else 'val'}{shown}"
    if high < 0:
        return [
            f"The base model is more accurate than {known.shipped}, which lies {size} from it: this training did harm."
        ]
    return [f"{known.shipped} is not shown to be more accurate than the base model: {size}."]
