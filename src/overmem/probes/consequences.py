"""What over-memorization costs at comparable accuracy: every probe's comparison of two checkpoints."""

from collections.abc import Mapping

from overmem import statistics
from overmem.probes import PROBES
from overmem.probes.probe import Probe
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
    compared = [
        comparison
        for probe in probes.values()
        if probe.consequences is not None
        for comparison in probe.consequences(recommended, late, base)
        if comparison.worse.value is not None
    ]
    adjusted = statistics.holm([comparison.p for comparison in compared])
    return tuple(
        Consequence(
            name=c.name,
            checkpoint=late.checkpoint.name,
            difference=c.worse,
            p=p,
            confirmed=p is not None and p < alpha and c.worse.value is not None and c.worse.value > 0,
            sentence=c.sentence,
            is_share=c.is_share,
        )
        for c, p in zip(compared, adjusted, strict=True)
    )
