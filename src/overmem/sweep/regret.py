"""What every selection rule was worth over all runs of a sweep: chosen on val, priced on test."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import polars as pl

from overmem import statistics
from overmem.records import Estimate
from overmem.sweep.outcomes import Outcome, across_seeds, outcome_of_examples, paired, per_seed

OURS = "overmem"
"""The rule whose pick every other one is compared with."""


@dataclass(frozen=True)
class RuleRegret:
    """One rule over all runs."""

    rule: str
    accuracy_lost: Estimate
    """Test accuracy of our pick minus that of this rule's, paired; positive: this rule costs. n counts seeds."""
    nll_gained: Estimate
    """Test nll of this rule's pick minus that of ours, in nats per token; positive: this rule costs."""
    accuracy: Estimate
    """Test accuracy of its picks."""
    nll: Estimate
    over_memorized: int
    """Runs in which it picked a checkpoint that was judged over-memorized on val."""
    runs: int
    p: float | None = None
    """Two-sided p that the accuracy is the same, Holm-corrected over the rules; None with one seed."""


def rule_difference(table: pl.DataFrame, rule: str, other: str) -> Estimate:
    """Test accuracy of one rule's picks minus that of another's, paired by run and example; n counts seeds."""
    picks = _all_picks(table)
    mine, theirs = picks.get(rule, {}), picks.get(other, {})
    shared = [name for name in mine if name in theirs]
    pairs = [(mine[n][0], paired(mine[n][1]["accuracy"], theirs[n][1]["accuracy"])) for n in shared]
    return across_seeds(per_seed(pairs))


def regrets(table: pl.DataFrame) -> list[RuleRegret]:
    """Every rule that picked something in at least one run, the one that loses least first."""
    picks = _all_picks(table)
    ours = picks.get(OURS, {})
    rules = [_regret(rule, runs, ours) for rule, runs in picks.items()]
    adjusted = statistics.holm([statistics.p_across_seeds(r.accuracy_lost) if r.rule != OURS else None for r in rules])
    corrected = [replace(regret, p=p) for regret, p in zip(rules, adjusted, strict=True)]
    return sorted(corrected, key=_loss)


def _all_picks(table: pl.DataFrame) -> dict[str, dict[str, tuple[int, Mapping[str, Outcome], str]]]:
    """Rule -> run -> seed, test outcomes and regime of what it picked."""
    picks: dict[str, dict[str, tuple[int, Mapping[str, Outcome], str]]] = {}
    for (name,), rows in table.group_by("run", maintain_order=True):
        for rule, checkpoint in _picks(rows).items():
            outcomes = _on_test(rows, checkpoint)
            if len(outcomes) == 2:
                regime = _regime(rows, checkpoint)
                picks.setdefault(rule, {})[str(name)] = (rows["seed"][0], outcomes, regime)
    return picks


def _loss(regret: RuleRegret) -> tuple[float, float]:
    """Accuracy lost, then nll; a rule whose picks were never measured comes last."""
    lost, gained = regret.accuracy_lost.value, regret.nll_gained.value
    return (inf if lost is None else lost, inf if gained is None else gained)


def _regret(rule: str, runs: Mapping[str, Any], ours: Mapping[str, Any]) -> RuleRegret:
    shared = [name for name in runs if name in ours]
    differences = {
        metric: [(runs[name][0], paired(ours[name][1][metric], runs[name][1][metric])) for name in shared]
        for metric in ("accuracy", "nll")
    }
    levels = {metric: [(seed, o[metric]) for seed, o, _ in runs.values()] for metric in ("accuracy", "nll")}
    return RuleRegret(
        rule,
        across_seeds(per_seed(differences["accuracy"])),
        statistics.negated(across_seeds(per_seed(differences["nll"]))),
        across_seeds(per_seed(levels["accuracy"])),
        across_seeds(per_seed(levels["nll"])),
        sum(regime == "over-memorized" for _, _, regime in runs.values()),
        len(runs),
    )


def _picks(rows: pl.DataFrame) -> dict[str, str]:
    """Rule -> the checkpoint that it picked."""
    chosen = rows.filter((pl.col("probe") == "verdict") & (pl.col("metric") == "regret"))
    return {json.loads(at)["rule"]: name for at, name in chosen.select("at", "checkpoint").iter_rows() if name}


def _on_test(rows: pl.DataFrame, checkpoint: str) -> dict[str, Outcome]:
    on_test = rows.filter(
        (pl.col("checkpoint") == checkpoint) & (pl.col("split") == "test") & pl.col("numerators").is_not_null()
    )
    return {row["metric"]: outcome_of_examples(row) for row in on_test.iter_rows(named=True)}


def _regime(rows: pl.DataFrame, checkpoint: str) -> str:
    judged = rows.filter((pl.col("checkpoint") == checkpoint) & (pl.col("regime") != ""))
    return str(judged["regime"][0]) if len(judged) else ""
