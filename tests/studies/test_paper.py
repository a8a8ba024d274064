"""The page of claims: what decides each, and that its tests name sweeps, factors and levels that exist."""

import pytest

from overmem.records import Estimate
from overmem.sweep.conditions import planned_runs
from overmem.sweep.options import read_sweep
from studies.paper.page import FAILS, HERE, HOLDS, NOT_RUN, TESTS, UNDECIDED, Result, decision, page, read_claims


@pytest.mark.parametrize(
    ("value", "low", "high", "p", "expected"),
    [
        (0.10, 0.06, 0.14, 0.001, HOLDS),
        (0.10, 0.06, 0.14, 0.20, UNDECIDED),  # not after Holm's correction
        (0.10, -0.01, 0.21, None, UNDECIDED),
        (0.03, 0.01, 0.05, 0.001, UNDECIDED),  # there, and perhaps smaller than what matters
        (0.01, -0.02, 0.04, 0.5, FAILS),
        (-0.10, -0.14, -0.06, 0.001, FAILS),
        (0.10, None, None, None, UNDECIDED),
    ],
)
def test_a_claim_holds_where_its_effect_is_shown_and_large_enough(value, low, high, p, expected):
    result = Result(Estimate(value, low, high), 0.05, p, "")
    assert decision(result, p, reversed_=False) == expected
    opposite = {HOLDS: FAILS, FAILS: HOLDS, UNDECIDED: UNDECIDED}
    assert decision(result, p, reversed_=True) == opposite[expected]


@pytest.mark.parametrize("claim", read_claims(), ids=lambda claim: claim.id)
def test_every_claim_is_about_a_sweep_that_has_its_levels(claim):
    runs = planned_runs(read_sweep(HERE / "sweeps" / f"{claim.sweep}.yaml"))
    ((kind, test),) = claim.test.items()
    assert kind in TESTS
    if kind == "regime":
        assert any(all(run.levels[f] == level for f, level in test["at"].items()) for run in runs)
    if kind == "effect":
        assert {test["level"], test["against"]} <= {run.levels[test["factor"]] for run in runs}
        assert test["smallest"] > 0


def test_a_claim_whose_sweep_has_not_run_is_reported_as_not_run():
    claims = read_claims()
    text = page(claims, lambda name: None)
    assert text.count(f"**{NOT_RUN}**") == len(claims)
    assert len({claim.id for claim in claims}) == len(claims)
