"""Whether the best checkpoint of a run is worth shipping: more accurate than the base model, and than guessing."""

from collections.abc import Sequence

from overmem.records import CheckpointVerdict, Choice, Estimate
from overmem.verdict.evidence import Evidence, LoggedCurve
from overmem.verdict.logged_last import logged_over_base
from overmem.verdict.quantities import Quantities
from overmem.verdict.selection import difference


def over_base(evidence: Evidence, recommended: Choice | None, q: Quantities) -> Estimate | None:
    """Accuracy of the best checkpoint minus that of the base model, on the same examples."""
    curves = evidence.merged_test or evidence.merged_val or evidence.test or evidence.val
    if isinstance(curves, LoggedCurve):
        return logged_over_base(curves, recommended, q)
    rows = {c.name: i for i, c in enumerate(curves.checkpoints)}
    base = next((i for i, c in enumerate(curves.checkpoints) if c.step == 0), None)
    shipped = None if recommended is None else rows.get(recommended.checkpoint or "")
    return None if base is None or shipped is None else difference(curves, shipped, base)


def is_worth_shipping(
    verdicts: Sequence[CheckpointVerdict], best: Choice | None, gain: Estimate | None, chance: float
) -> bool:
    """Whether the best checkpoint is more accurate than the base model and than guessing."""
    accuracy = None if best is None else best.accuracy.value
    guesses = any(v.tests.choices_at_chance is not None for v in verdicts)
    guesses = guesses or (chance > 0 and accuracy is not None and accuracy <= chance)
    is_no_better = gain is not None and gain.value is not None and gain.value <= 0
    return not (guesses or is_no_better)
