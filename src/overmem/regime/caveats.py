"""What the reader must know before believing the rest of a verdict."""

from collections.abc import Sequence

from overmem.regime.known import Known


def caveats(known: Known, *, unsure: str, selected_on: str, confirmed: bool, gone: Sequence[str]) -> tuple[str, ...]:
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
    base = next((v for v in known.verdicts if v.checkpoint.step == 0), None)
    shipped = next((v for v in known.verdicts if v.checkpoint.name == known.shipped), None)
    if base is None or shipped is None or base.accuracy.value is None or shipped.accuracy.value is None:
        return tuple(said)
    if (base.accuracy.low or 0.0) > (shipped.accuracy.high or 1.0):
        said.append("The base model is more accurate than the recommended checkpoint: this training did harm.")
    elif base.accuracy.value >= shipped.accuracy.value:
        said.append("The recommended checkpoint is not shown to be more accurate than the base model.")
    return tuple(said)
