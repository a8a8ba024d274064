"""A probe with its consequence and its sentence is one file and one table line."""

from overmem.probes import PROBES
from overmem.probes.consequences import consequences
from overmem.probes.measure import measured
from overmem.probes.probe import Comparison, Probe
from overmem.records import Estimate
from overmem.wording.harm import cost_clause


def shouting(snapshot, *, base=None, minimum=None):
    """Share of completions that shout."""
    return []


def shouting_gained(good, bad, base):
    yield Comparison("shouting", Estimate(0.25, 0.1, 0.4, 40), 0.001, "it shouts {} more often")


def test_a_probe_of_ones_own_is_measured_compared_and_put_into_words(make_snapshot):
    table = {**PROBES, "shouting": Probe(shouting, shouting_gained)}
    early, late = make_snapshot(name="checkpoint-1", step=1), make_snapshot(name="checkpoint-2", step=2)
    assert list(measured([early.checkpoint], lambda _: early, table))
    (cost,) = consequences(early, late, probes=table)
    assert cost.confirmed
    assert cost_clause(cost).startswith("shouting: it shouts 25.0 points more often")
