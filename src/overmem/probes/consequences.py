"""What over-memorization costs at comparable accuracy: every probe's comparison of two checkpoints."""

from collections.abc import Mapping

from overmem import statistics
from overmem.probes import PROBES
from overmem.probes.probe import Comparison, Probe
from overmem.records import Consequence, Snapshot


def consequences(
    recommended: Snapshot,
    late: Snapshot,
    *,
    base: Snapshot | None = None,
    alpha: float = 0.05,
    probes: Mapping[str, Probe] = PROBES,
) -> tuple[Consequence, ...]:
    """Every consequence that the observations allow, on the same examples, with p Holm-adjusted over all of them.

    Args:
        recommended: the checkpoint to ship.
        late: the one that is compared with it; a positive difference is worse.
        base: the base model, where it was observed.
        alpha: level below which a difference is confirmed.
        probes: the table of probes.
    """
    compared = comparisons(recommended, late, base=base, probes=probes)
    adjusted = statistics.holm([comparison.p for comparison in compared])
    return tuple(consequence(c, late.checkpoint.name, p, alpha) for c, p in zip(compared, adjusted, strict=True))


def comparisons(
    good: Snapshot, bad: Snapshot, *, base: Snapshot | None = None, probes: Mapping[str, Probe] = PROBES
) -> list[Comparison]:
    """Everything that the second checkpoint may do worse than the first, with p as they come."""
    return [
        comparison
        for probe in probes.values()
        if probe.consequences is not None
        for comparison in probe.consequences(good, bad, base)
        if comparison.worse.value is not None
    ]


def consequence(comparison: Comparison, checkpoint: str, p: float | None, alpha: float) -> Consequence:
    """The record of a comparison whose p is corrected for all that was tested with it."""
    worse = comparison.worse
    return Consequence(
        name=comparison.name,
        checkpoint=checkpoint,
        difference=worse,
        p=p,
        confirmed=p is not None and p < alpha and worse.value is not None and worse.value > 0,
        sentence=comparison.sentence,
        is_share=comparison.is_share,
    )
