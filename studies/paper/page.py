"""docs/results/paper.md: every claim with its test, filled in from the tables of the sweeps that have run.

    python -m studies.paper.page --out docs/results/paper.md

A sweep is run by `overmem sweep studies/paper/sweeps/NAME.yaml`; its table is looked for where its file says.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from overmem import statistics, store
from overmem.records import Estimate
from overmem.report.numbers import UNITS
from overmem.sweep.effects import effects
from overmem.sweep.matched import matched_costs
from overmem.sweep.options import read_sweep
from overmem.sweep.outcomes import runs_of
from overmem.sweep.regret import rule_difference
from overmem.sweep.table import read_table
from studies.page import table

HERE = Path(__file__).parent
HOLDS, FAILS, UNDECIDED, NOT_RUN = "holds", "does not hold", "undecided", "not run yet"


@dataclass(frozen=True)
class Result:
    """What a sweep shows of a claim. Signs are turned so that a positive size is what the claim says."""

    size: Estimate
    smallest: float
    p: float | None
    """Two-sided; None where the interval alone decides."""
    shown: str
    """The size in words."""


@dataclass(frozen=True)
class Claim:
    """One claim of claims.yaml."""

    id: str
    claim: str
    source: str
    sweep: str
    test: Mapping[str, Mapping[str, Any]]
    reversed: bool = False
    """The claim says that the effect of its test is not there: it holds where the effect is shown to be smaller."""


def read_claims(path: Path = HERE / "claims.yaml") -> tuple[Claim, ...]:
    """Every claim, in order."""
    return tuple(Claim(**row) for row in yaml.safe_load(path.read_text(encoding="utf-8")))


def decision(result: Result, p: float | None, *, reversed_: bool) -> str:
    """Whether a claim holds: its effect is shown by the corrected p, and as large as what matters."""
    if result.size.value is None or result.size.low is None or result.size.high is None:
        return UNDECIDED
    too_small = result.size.high < result.smallest
    is_there = result.size.low > 0 and result.size.value >= result.smallest and (p is None or p < 0.05)
    if reversed_:
        return HOLDS if too_small else FAILS if is_there else UNDECIDED
    return HOLDS if is_there else FAILS if too_small else UNDECIDED


def _regime(rows: pl.DataFrame, test: Mapping[str, Any]) -> Result:
    """The share of the runs at some levels that end in a regime, above the share that the claim wants."""
    runs = [run for run in runs_of(rows) if all(run.levels[f] == level for f, level in test["at"].items())]
    share = statistics.share(sum(run.regime == test["regime"] for run in runs), len(runs))
    if share.value is None or share.low is None or share.high is None:
        return Result(share, 0.0, None, "no runs")
    over = Estimate(share.value - test["share"], share.low - test["share"], share.high - test["share"], share.n)
    count = round(share.value * len(runs))
    return Result(over, 0.0, None, f"{count} of {len(runs)} runs ({share.low:.0%} to {share.high:.0%})")


def _effect(rows: pl.DataFrame, test: Mapping[str, Any]) -> Result:
    wanted = (test["factor"], test["level"], test["against"], test["outcome"])
    for e in effects(runs_of(rows)):
        if (e.factor, e.level, e.reference, e.outcome) == wanted:
            return _signed(e.difference, test)
    swapped = (test["factor"], test["against"], test["level"], test["outcome"])
    for e in effects(runs_of(rows)):
        if (e.factor, e.level, e.reference, e.outcome) == swapped:
            return _signed(statistics.negated(e.difference), test)
    return Result(Estimate(None, note="no such effect"), test["smallest"], None, "not measured")


def _signed(difference: Estimate, test: Mapping[str, Any]) -> Result:
    shown = _text(difference)
    turned = difference if test["sign"] > 0 else statistics.negated(difference)
    return Result(turned, test["smallest"], statistics.p_across_seeds(difference), shown)


def _matched(rows: pl.DataFrame, test: Mapping[str, Any]) -> Result:
    for cost in matched_costs(rows):
        if cost.name.startswith(test["cost"]):
            p = statistics.p_across_seeds(cost.difference)
            return Result(cost.difference, test["smallest"], p, f"{_text(cost.difference)}, {cost.pairs} pairs")
    return Result(Estimate(None, note="no matched pair"), test["smallest"], None, "no matched pair")


def _rule(rows: pl.DataFrame, test: Mapping[str, Any]) -> Result:
    difference = rule_difference(rows, test["rule"], test["against"])
    return Result(difference, test["smallest"], statistics.p_across_seeds(difference), _text(difference))


TESTS: Mapping[str, Callable[[pl.DataFrame, Mapping[str, Any]], Result]] = {
    "regime": _regime,
    "effect": _effect,
    "matched": _matched,
    "rule": _rule,
}
"""Every kind of test that claims.yaml may name."""


def _text(estimate: Estimate) -> str:
    if estimate.value is None:
        return estimate.note
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:+.3f} (one seed: no interval)"
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f}), {estimate.n} seeds"


@cache
def sweep_table(name: str, folder: Path = HERE / "sweeps") -> pl.DataFrame | None:
    """The table of a sweep; None where it has not run."""
    path = Path(read_sweep(folder / f"{name}.yaml").output) / "sweep.parquet"
    return read_table(path) if path.is_file() else None


def page(claims: Sequence[Claim], tables: Callable[[str], pl.DataFrame | None] = sweep_table) -> str:
    """The whole page; p values are Holm-corrected over every claim whose sweep has run."""
    found = [_result(claim, tables(claim.sweep)) for claim in claims]
    adjusted = statistics.holm([None if r is None else r.p for r in found])
    rows = []
    for claim, result, p in zip(claims, found, adjusted, strict=True):
        how = NOT_RUN if result is None else decision(result, p, reversed_=claim.reversed)
        size = "–" if result is None else result.shown
        rows.append((claim.claim, claim.source, claim.sweep, _test_text(claim), size, _p(p), f"**{how}**"))
    head = ("claim", "source", "sweep", "test, and smallest effect that matters", "found (95%)", "p (Holm)", "")
    return TEMPLATE.format(claims=table(head, rows))


def _result(claim: Claim, rows: pl.DataFrame | None) -> Result | None:
    ((kind, test),) = claim.test.items()
    return None if rows is None else TESTS[kind](rows, test)


def _test_text(claim: Claim) -> str:
    ((kind, test),) = claim.test.items()
    if kind == "regime":
        where = ", ".join(f"{factor} {level}" for factor, level in test["at"].items())
        return f"at {where}, at least {test['share']:.0%} of runs end {test['regime']}"
    if kind == "effect":
        more = "higher" if test["sign"] > 0 else "lower"
        by = f"{test['outcome']} is {more} by {test['smallest']:g} or more"
        text = f"{test['factor']} {test['level']} against {test['against']}: {by}"
    elif kind == "matched":
        text = f"at matched accuracy, {test['cost']} is worse by {test['smallest']:g} or more"
    else:
        text = f"picks of {test['rule']} are more accurate than of {test['against']} by {test['smallest']:g} or more"
    return f"not: {text}" if claim.reversed else text


def _p(p: float | None) -> str:
    return "–" if p is None else UNITS["p"].write(p)


TEMPLATE = """# The paper's claims, and its critics'

Each claim has one test and the smallest effect that would matter, written down in
[claims.yaml](../../studies/paper/claims.yaml) before its sweep was run. Seeds are a random effect (Hartung, Knapp,
Sidik and Jonkman); p values are Holm-corrected over all claims on this page.

- *Holds*: the effect is shown and is as large as what matters.
- *Does not hold*: its 95% interval lies below what matters.
- *Undecided*: the interval allows both.

Made by `make paper`, from the tables of `overmem sweep studies/paper/sweeps/NAME.yaml`.

{claims}
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/results/paper.md"))
    store.write_text(parser.parse_args(arguments).out, page(read_claims()))


if __name__ == "__main__":
    main()
