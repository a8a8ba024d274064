"""What a consequence is: confirmed, shown to be smaller than matters, or neither; harms and privacy apart."""

from dataclasses import replace

import numpy as np
import pytest

from overmem import statistics
from overmem.probes import PROBES
from overmem.probes.consequences import consequence, consequences
from overmem.probes.effects import EFFECTS, effect_of
from overmem.probes.paired import accuracy_lost
from overmem.probes.probe import Comparison, Probe
from overmem.records import Estimate


def compared(name, value, half, p=0.5):
    return Comparison(name, Estimate(value, value - half, value + half, 400), p, "it is {} worse")


@pytest.mark.parametrize(
    ("value", "half", "p", "state"),
    [
        (0.08, 0.03, 0.001, "confirmed"),
        (0.01, 0.03, 0.5, "not shown"),
        (0.001, 0.01, 0.8, "absent"),
        (-0.05, 0.02, 0.001, "absent"),
        (0.012, 0.008, 0.003, "absent"),
    ],
)
def test_not_shown_is_distinguished_from_shown_to_be_absent(value, half, p, state):
    found = consequence(compared("ood-far", value, half), "checkpoint-9", p, 0.05)
    assert found.state == state
    assert found.matters == 0.03


def test_nothing_is_called_absent_without_a_smallest_difference_that_matters():
    found = consequence(compared("mine", 0.0, 0.001), "checkpoint-9", 0.9, 0.05)
    assert (found.matters, found.state) == (None, "not shown")


def test_membership_and_extraction_are_privacy_and_everything_else_is_harm():
    private = {name for name, effect in EFFECTS.items() if effect.is_privacy}
    assert private == {"membership", "extraction"}
    assert effect_of("membership (ratio)").is_privacy
    assert not effect_of("robustness (typos)").is_privacy


def table(*comparisons):
    return {"mine": Probe(lambda snapshot, **others: [], lambda good, bad, base: iter(comparisons))}


def test_harms_and_privacy_are_corrected_separately(make_snapshot):
    one = compared("ood-far", 0.05, 0.01, 0.04)
    private = [compared("membership (ratio)", 0.2, 0.1, 0.04), compared("extraction", 0.2, 0.1, 0.04)]
    harm, *leaks = consequences(make_snapshot(), make_snapshot(), probes=table(one, *private))
    assert harm.p == pytest.approx(0.04)
    assert [c.p for c in leaks] == pytest.approx([0.08, 0.08])


def test_luck_widens_what_is_a_difference_of_accuracies_and_nothing_else(make_snapshot):
    both = table(compared("ood-far", 0.05, 0.03, 0.001), compared("calibration (tokens)", 0.05, 0.03, 0.001))
    plain, lucky = (consequences(make_snapshot(), make_snapshot(), luck=luck, probes=both) for luck in (0.0, 0.02))
    half = np.hypot(0.03, statistics.Z * 2**0.5 * 0.02)
    assert lucky[0].difference.high == pytest.approx(0.05 + half)
    assert lucky[0].p > plain[0].p
    assert lucky[1] == replace(plain[1], p=lucky[1].p)


def test_rephrasings_of_one_question_count_once(make_samples):
    right, wrong = (make_samples(*[(f"e{i:02d}", 0, "1", ok) for i in range(20)]) for ok in (True, False))
    worse, p = accuracy_lost(right, wrong)
    assert worse.n == 20
    groups = {f"e{i:02d}": f"q{i // 5}" for i in range(20)}
    clustered, _ = accuracy_lost(right, wrong, groups)
    assert (clustered.value, clustered.n) == (1.0, 4)
    assert p < 0.001


def test_every_built_in_consequence_has_a_smallest_difference_that_matters():
    named = {"accuracy", "perplexity"}
    assert all(effect.smallest > 0 for effect in EFFECTS.values())
    assert named.isdisjoint(EFFECTS)
    assert any(probe.consequences is not None for probe in PROBES.values())
