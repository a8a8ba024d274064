"""What over-memorization costs at comparable accuracy: each probe's comparison of two checkpoints."""

from collections.abc import Mapping
from dataclasses import replace
from math import hypot

from overmem import statistics
from overmem.probes import PROBES
from overmem.probes.effects import effect_of
from overmem.probes.probe import Comparison, Probe
from overmem.records import Consequence, Snapshot


def consequences(
    recommended: Snapshot,
    late: Snapshot,
    *,
    base: Snapshot | None = None,
    alpha: float = 0.05,
    luck: float = 0.0,
    probes: Mapping[str, Probe] = PROBES,
) -> tuple[Consequence, ...]:
    """Every consequence that can be computed from the observations.

    P is Holm-adjusted over all harms, and separately over all consequences for privacy.

    Args:
        recommended: the checkpoint to ship.
        late: the checkpoint compared with it; a positive difference is worse.
        base: the base model, if it was observed.
        alpha: level below which a difference is confirmed.
        luck: standard deviation of a checkpoint's accuracy over equally good checkpoints, beyond sampling error.
        probes: the table of probes.
    """
    compared = [_with_luck(c, luck) for c in comparisons(recommended, late, base=base, probes=probes)]
    adjusted: dict[int, float | None] = {}
    for privacy in (False, True):
        rows = [k for k, c in enumerate(compared) if _is_privacy(c) == privacy]
        adjusted |= dict(zip(rows, statistics.holm([compared[k].p for k in rows]), strict=True))
    return tuple(consequence(c, late.checkpoint.name, adjusted[k], alpha) for k, c in enumerate(compared))


def _is_privacy(comparison: Comparison) -> bool:
    effect = effect_of(comparison.name)
    return effect is not None and effect.is_privacy


def _with_luck(comparison: Comparison, luck: float) -> Comparison:
    """The comparison; if it is one of accuracies, the luck of both checkpoints is added to its interval and its p."""
    effect, worse = effect_of(comparison.name), comparison.worse
    if luck <= 0 or effect is None or not effect.is_accuracy:
        return comparison
    if worse.value is None or worse.low is None or worse.high is None:
        return comparison
    half_width = statistics.Z * 2**0.5 * luck
    low = worse.value - hypot(worse.value - worse.low, half_width)
    high = worse.value + hypot(worse.high - worse.value, half_width)
    wider = replace(worse, low=max(-1.0, low), high=min(1.0, high))
    return replace(comparison, worse=wider, p=max(comparison.p, statistics.p_of_interval(wider)))


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
    worse, effect = comparison.worse, effect_of(comparison.name)
    smallest = None if effect is None else effect.smallest
    absent = smallest is not None and worse.high is not None and worse.high < smallest
    is_significant = p is not None and p < alpha and worse.value is not None and worse.value > 0
    return Consequence(
        name=comparison.name,
        checkpoint=checkpoint,
        difference=worse,
        p=p,
        confirmed=is_significant and not absent,
        sentence=comparison.sentence,
        is_share=comparison.is_share,
        matters=smallest,
        is_privacy=_is_privacy(comparison),
        absent=absent,
    )
