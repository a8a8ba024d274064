"""The tables of a sweep as cells of text, for its page, as CSV and as LaTeX."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from overmem.records import Estimate
from overmem.report.latex import tabular
from overmem.report.numbers import UNITS, estimate_text, value_text
from overmem.sweep.charts import factors_of
from overmem.sweep.findings import SweepFindings

Cell: TypeAlias = str


@dataclass(frozen=True)
class Table:
    """Headings and rows of text."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def csv(self) -> str:
        """As comma-separated values."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.head, *self.rows])
        return text.getvalue()

    def latex(self) -> str:
        """As a LaTeX table (booktabs)."""
        return tabular(self.head, "l" * len(self.head), self.rows) + "\n"


def runs_table(findings: SweepFindings) -> Table:
    """Every run: its condition, regime, onset, severity, and the accuracy of its checkpoint to ship."""
    factors = factors_of(findings.table)
    rows = []
    for run in findings.runs:
        excess, onset = run.outcomes.get("excess nll, at the end"), run.outcomes.get("onset, epoch")
        accuracy = run.outcomes.get("test accuracy, to ship")
        rows.append(
            [
                *(run.levels[factor] for factor in factors),
                str(run.seed),
                run.regime,
                "none" if onset is None else f"{onset.value:.3g}",
                "—" if excess is None else value_text(Estimate(excess.value), "excess"),
                "—" if accuracy is None else value_text(Estimate(accuracy.value), "percent"),
            ]
        )
    head = [*factors, "seed", "regime at the end", "onset, epoch", "excess nll at the end", "test accuracy to ship"]
    return Table("Runs", head, rows)


def levels_table(findings: SweepFindings) -> Table:
    """Every outcome at every level of every factor."""
    rows = [
        [
            level.factor,
            level.level,
            level.outcome,
            estimate_text(level.estimate, "percent" if level.is_share else "number"),
            str(level.estimate.n),
            f"{level.runs} of {level.of}",
        ]
        for level in findings.levels
    ]
    return Table("Levels", ["factor", "level", "outcome", "mean over seeds (95%)", "seeds", "runs"], rows)


def effects_table(findings: SweepFindings) -> Table:
    """Every effect, with its corrected p."""
    rows = [
        [
            e.factor,
            f"{e.level} against {e.reference}",
            e.outcome,
            estimate_text(e.difference, "points" if e.is_share else "difference"),
            str(e.difference.n),
            _p(e.p),
        ]
        for e in findings.effects
    ]
    return Table("Effects", ["factor", "levels", "outcome", "difference (95%)", "seeds", "p (Holm)"], rows)


def matched_table(findings: SweepFindings) -> Table:
    """Costs at matched accuracy."""
    rows = [
        [
            cost.name,
            estimate_text(cost.difference, "points" if cost.is_share else "difference"),
            str(cost.difference.n),
            str(cost.pairs),
            _p(cost.p),
        ]
        for cost in findings.matched
    ]
    return Table(
        "Matched accuracy", ["metric", "higher minus lower perplexity (95%)", "seeds", "pairs", "p (Holm)"], rows
    )


def regret_table(findings: SweepFindings) -> Table:
    """The regret of every selection rule."""
    rows = [
        [
            regret.rule,
            estimate_text(regret.accuracy, "percent"),
            estimate_text(regret.nll, "nll"),
            estimate_text(regret.accuracy_lost, "points") if regret.rule != "overmem" else "—",
            estimate_text(regret.nll_gained, "difference") if regret.rule != "overmem" else "—",
            f"{regret.over_memorized} of {regret.runs}",
            _p(regret.p),
        ]
        for regret in findings.regrets
    ]
    head = [
        "rule",
        "test accuracy",
        "test nll",
        "accuracy lost against ours",
        "nll above ours",
        "over-memorized",
        "p (Holm)",
    ]
    return Table("Selection rules", head, rows)


TABLES: Mapping[str, Callable[[SweepFindings], Table]] = {
    "runs": runs_table,
    "levels": levels_table,
    "effects": effects_table,
    "matched": matched_table,
    "rules": regret_table,
}
"""Every table of the page, by the name of its file."""


def _p(p: float | None) -> str:
    return "—" if p is None else UNITS["p"].write(p)
