"""What over-memorization costs at comparable accuracy: each probe's comparison of two checkpoints."""

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
    """Every consequence that can be computed from the observations, with p Holm-adjusted over all of them.

    Args:
        recommended: the checkpoint to ship.
        late: the checkpoint compared with it; a positive difference is worse.
        base: the base model, if it was observed.
        alpha: level below which a difference is confirmed.
        probes: the table of probes.
    """
    compared = comparisons(recommended, late, base=base, probes=probes)
    adjusted = statistics.holm([comparison.p for comparison in compared])
    return tuple(consequence(c, late.checkpoint.name, p, alpha) for c, p in zip(compared, adjusted, strict=True))


def comparisons(
    good: Snapshot, bad: Snapshot, *, base: Snapshot | None = None, probes: Mapping[str, Probe] = PROBES
) -> list[Comparison]:
    """Every comparison of a checkpoint with a recommended one, with unadjusted p.

    Args:
        good: the recommended checkpoint.
        bad: the checkpoint that may be worse.
        base: the base model, if it was observed.
        probes: the table of probes.
    """
    return [
        comparison
        for probe in probes.values()
        if probe.consequences is not None
        for comparison in probe.consequences(good, bad, base)
        if comparison.worse.value is not None
    ]


def consequence(comparison: Comparison, checkpoint: str, p: float | None, alpha: float) -> Consequence:
    """The record of a comparison.

    Args:
        comparison: the comparison.
        checkpoint: name of the checkpoint that may be worse.
        p: its p, adjusted for multiple tests.
        alpha: level below which the difference is confirmed.
    """
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
