"""The findings of a sweep: its table and the statistics that its page shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from overmem.sweep.effects import Effect, Level, effects, levels
from overmem.sweep.matched import MatchedCost, matched_costs
from overmem.sweep.outcomes import RunOutcomes, runs_of
from overmem.sweep.regret import RuleRegret, regrets


@dataclass(frozen=True)
class SweepFindings:
    """Everything that the page shows, computed from the table, and the runs that are missing from it."""

    name: str
    table: pl.DataFrame
    runs: tuple[RunOutcomes, ...]
    effects: tuple[Effect, ...]
    levels: tuple[Level, ...]
    regrets: tuple[RuleRegret, ...]
    matched: tuple[MatchedCost, ...]
    planned: int
    failures: Mapping[str, str]
    """Run -> why it could not be finished."""
    command: str
    """The command that makes the sweep."""
    sweep_file: str
    """The text of the sweep file."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that have a finished run."""
        return tuple(dict.fromkeys(run.seed for run in self.runs))


def sweep_findings(
    table: pl.DataFrame, name: str, *, planned: int, failures: Mapping[str, str], command: str, sweep_file: str
) -> SweepFindings:
    """The findings of a sweep's table."""
    runs: Sequence[RunOutcomes] = runs_of(table)
    return SweepFindings(
        name,
        table,
        tuple(runs),
        tuple(effects(runs)),
        tuple(levels(runs)),
        tuple(regrets(table)),
        tuple(matched_costs(table)),
        planned,
        failures,
        command,
        sweep_file,
    )
