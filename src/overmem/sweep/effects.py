"""The effect of each factor on each outcome: differences from its reference level, paired by seed.

The seed is a random effect. Within a seed the difference is averaged over the levels of the other factors (a main
effect). Two runs on the same problems are compared problem by problem. p values are Holm-corrected over all effects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from overmem import statistics
from overmem.records import Estimate
from overmem.sweep.outcomes import Outcome, RunOutcomes, across_seeds, bounded, paired, per_seed, share_across_seeds


@dataclass(frozen=True)
class Effect:
    """One level of one factor against the factor's reference level, on one outcome."""

    factor: str
    level: str
    reference: str
    outcome: str
    is_share: bool
    difference: Estimate
    """Mean over seeds; n is the number of seeds."""
    per_seed: tuple[float, ...]
    p: float | None = None
    """Two-sided, Holm-corrected over all effects of the sweep; None with one seed."""


@dataclass(frozen=True)
class Level:
    """An outcome at one level of one factor, over seeds (and averaged over the other factors)."""

    factor: str
    level: str
    outcome: str
    is_share: bool
    estimate: Estimate
    """n is the number of seeds."""
    runs: int
    """Number of runs that have the outcome; not every run has an onset."""
    of: int
    """Number of runs at this level."""


def factor_levels(runs: Sequence[RunOutcomes]) -> dict[str, list[str]]:
    """Factor -> its levels in the order of the sweep file, without factors of one level."""
    names = runs[0].levels if runs else ()
    factors = {factor: list(dict.fromkeys(run.levels[factor] for run in runs)) for factor in names}
    return {factor: levels for factor, levels in factors.items() if len(levels) > 1}


def effects(runs: Sequence[RunOutcomes]) -> list[Effect]:
    """Every effect that can be computed in at least one seed, Holm-corrected together."""
    all_effects: list[Effect] = []
    for factor, (reference, *others) in factor_levels(runs).items():
        for level in others:
            for outcome in _names(runs):
                differences = per_seed(_differences(runs, factor, level, reference, outcome))
                if differences:
                    difference, values = across_seeds(differences), tuple(d.value for d in differences)
                    is_share = any(run.points.get(outcome, False) for run in runs)
                    all_effects.append(Effect(factor, level, reference, outcome, is_share, difference, values))
    adjusted = statistics.holm([statistics.p_across_seeds(effect.difference) for effect in all_effects])
    return [
        replace(e, p=p, difference=bounded(e.difference) if e.is_share else e.difference)
        for e, p in zip(all_effects, adjusted, strict=True)
    ]


def levels(runs: Sequence[RunOutcomes]) -> list[Level]:
    """Every outcome at every level of every factor."""
    all_levels = []
    for factor, names in factor_levels(runs).items():
        for level in names:
            at_level = [run for run in runs if run.levels[factor] == level]
            for outcome in _names(runs):
                measured = [run for run in at_level if outcome in run.outcomes]
                if measured:
                    is_share = measured[0].points[outcome]
                    mean_of = share_across_seeds if is_share else across_seeds
                    estimate = mean_of(per_seed((run.seed, run.outcomes[outcome]) for run in measured))
                    all_levels.append(Level(factor, level, outcome, is_share, estimate, len(measured), len(at_level)))
    return all_levels


def _differences(
    runs: Sequence[RunOutcomes], factor: str, level: str, reference: str, outcome: str
) -> list[tuple[int, Outcome]]:
    """The seed, and the difference between the two levels, for every combination of the other factors with both."""
    by_condition = {
        (run.seed, _others(run.levels, factor), run.levels[factor]): run.outcomes[outcome]
        for run in runs
        if outcome in run.outcomes
    }
    return [
        (seed, paired(at_level, by_condition[seed, others, reference]))
        for (seed, others, name), at_level in by_condition.items()
        if name == level and (seed, others, reference) in by_condition
    ]


def _others(levels: Mapping[str, str], factor: str) -> tuple[str, ...]:
    return tuple(level for name, level in levels.items() if name != factor)


def _names(runs: Sequence[RunOutcomes]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.outcomes))
