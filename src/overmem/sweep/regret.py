"""The regret of every selection rule over all runs of a sweep: it chooses on val and is evaluated on test."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import polars as pl

from overmem import statistics
from overmem.records import Estimate
from overmem.sweep.outcomes import (
    Outcome,
    across_seeds,
    bounded,
    outcome_of_examples,
    paired,
    per_seed,
    share_across_seeds,
)

OURS = "overmem"
"""The rule that every other one is compared with."""


@dataclass(frozen=True)
class RuleRegret:
    """One rule over all runs."""

    rule: str
    accuracy_lost: Estimate
    """Test accuracy of our choice minus that of this rule's, paired; positive: this rule is worse. n is the number of
    seeds."""
    nll_gained: Estimate
    """Test nll of this rule's choice minus that of ours, in nats per token; positive: this rule is worse."""
    accuracy: Estimate
    """Test accuracy of its choices."""
    nll: Estimate
    over_memorized: int
    """Number of runs in which it chose a checkpoint that is over-memorized by the verdict on val."""
    runs: int
    p: float | None = None
    """Two-sided p that the accuracy is the same, Holm-corrected over the rules; None with one seed."""


def rule_difference(table: pl.DataFrame, rule: str, other: str) -> Estimate:
    """Test accuracy of one rule's choices minus that of another's, paired by run and example; n counts seeds."""
    choices = _all_choices(table)
    a, b = choices.get(rule, {}), choices.get(other, {})
    shared = [name for name in a if name in b]
    pairs = [(a[n][0], paired(a[n][1]["accuracy"], b[n][1]["accuracy"])) for n in shared]
    return across_seeds(per_seed(pairs))


def regrets(table: pl.DataFrame) -> list[RuleRegret]:
    """Every rule that chose a checkpoint in at least one run, the one that loses least first."""
    choices = _all_choices(table)
    ours = choices.get(OURS, {})
    rules = [_regret(rule, runs, ours) for rule, runs in choices.items()]
    adjusted = statistics.holm([statistics.p_across_seeds(r.accuracy_lost) if r.rule != OURS else None for r in rules])
    corrected = [
        replace(regret, p=p, accuracy_lost=bounded(regret.accuracy_lost))
        for regret, p in zip(rules, adjusted, strict=True)
    ]
    return sorted(corrected, key=_loss)


def _all_choices(table: pl.DataFrame) -> dict[str, dict[str, tuple[int, Mapping[str, Outcome], str]]]:
    """Rule -> run -> seed, test outcomes and regime of the checkpoint that it chose."""
    choices: dict[str, dict[str, tuple[int, Mapping[str, Outcome], str]]] = {}
    for (name,), rows in table.group_by("run", maintain_order=True):
        for rule, checkpoint in _choices(rows).items():
            outcomes = _on_test(rows, checkpoint)
            if len(outcomes) == 2:
                regime = _regime(rows, checkpoint)
                choices.setdefault(rule, {})[str(name)] = (rows["seed"][0], outcomes, regime)
    return choices


def _loss(regret: RuleRegret) -> tuple[float, float]:
    """Sort key: accuracy lost, then nll gained; a rule whose choices were not measured comes last."""
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
        share_across_seeds(per_seed(levels["accuracy"])),
        across_seeds(per_seed(levels["nll"])),
        sum(regime == "over-memorized" for _, _, regime in runs.values()),
        len(runs),
    )


def _choices(rows: pl.DataFrame) -> dict[str, str]:
    """Rule -> the checkpoint that it chose."""
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
