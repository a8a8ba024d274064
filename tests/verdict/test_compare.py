import shutil
from dataclasses import replace

import numpy as np
import pytest

from overmem.compare import Compare, compare
from overmem.errors import BadRequest
from overmem.records import Limits
from overmem.verdict.matching import RunLuck, difference_of, p_within, places
from studies.trajectories import simulated

LIMITS = Limits(d_nll=0.05)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, write_run, world):
    """A healthy run, and an over-memorized one that loses accuracy on ood-far."""
    root = tmp_path_factory.mktemp("runs")
    for name in ("low", "high"):
        (root / name).mkdir()
    write_run(root / "low", replace(world, shape="healthy"), seed=3, ood_loss=0.01)
    write_run(root / "high", replace(world, excess=0.3), seed=3, ood_loss=0.45)
    return str(root / "low"), str(root / "high")


@pytest.fixture(scope="module")
def comparison(runs):
    return compare(Compare(*runs, margin=0.05))


def test_recommended_last_and_equally_accurate_checkpoints_are_compared(comparison):
    kinds = [kind for pair in comparison.pairs for kind in pair.kinds]
    assert sorted(kinds) == ["contrast", "last", "matched", "recommended"]
    last = next(p for p in comparison.pairs if "last" in p.kinds)
    assert (last.first, last.second) == ("low/checkpoint-1000", "high/checkpoint-1000")
    assert last.nll.low > 0.05
    assert last.p_nll < 0.05


def test_a_contrast_has_equal_accuracy_and_different_perplexity(comparison):
    pair = next(p for p in comparison.pairs if p.is_contrast)
    assert pair.nll.value > 0.05
    assert pair.p_nll < 0.05
    assert abs(pair.accuracy.value) < 0.05


def test_behaviours_count_for_the_correction_and_are_reported(comparison):
    last = next(p for p in comparison.pairs if "last" in p.kinds)
    assert {c.name: c.confirmed for c in last.behaviours}["ood-far"]
    tests = sum(3 - 2 * p.is_contrast + len(p.behaviours) for p in comparison.pairs)
    assert any(s.startswith(f"{tests} tests") for s in comparison.sentences)


def test_more_contrasts_are_more_tests(runs):
    few, many = (compare(Compare(*runs, margin=0.05, pairs=n)) for n in (0, 3))
    assert sum(p.is_contrast for p in few.pairs) == 0
    assert sum(p.is_contrast for p in many.pairs) == 3
    with_few, with_many = (next(p for p in result.pairs if "last" in p.kinds) for result in (few, many))
    assert with_few.p_equivalent <= with_many.p_equivalent
    assert with_few.accuracy == with_many.accuracy


def test_a_run_is_not_compared_with_itself_or_with_its_copy(runs, tmp_path):
    with pytest.raises(BadRequest, match="given twice"):
        compare(Compare(runs[0], runs[0]))
    shutil.copytree(runs[0], tmp_path / "copy")
    with pytest.raises(BadRequest, match="is a copy of"):
        compare(Compare(runs[0], str(tmp_path / "copy")))
    with pytest.raises(BadRequest, match="given twice"):
        compare(Compare(*runs, seeds_a=(runs[1],), seeds_b=(str(tmp_path / "copy"),)))


def test_without_val_only_the_last_checkpoints_are_compared(runs):
    comparison = compare(Compare(*runs, split="val"))
    assert [p.kinds for p in comparison.pairs] == [("last",)]
    assert not comparison.has_val


def test_runs_without_a_shared_example_are_refused(runs):
    with pytest.raises(BadRequest, match="has no checkpoint with scores"):
        compare(Compare(*runs, split="ood-none"))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory, write_run, world):
    """Three seeds of a healthy run and of an over-memorized one, on the same questions."""
    root = tmp_path_factory.mktemp("seeds")
    names = [(root / f"low{i}", root / f"high{i}") for i in range(3)]
    for i, (low, high) in enumerate(names):
        low.mkdir(), high.mkdir()
        write_run(low, replace(world, shape="healthy"), seed=i, ood_loss=0.01)
        write_run(high, world, seed=i, ood_loss=0.30)
    return [str(low) for low, _ in names], [str(high) for _, high in names]


@pytest.fixture(scope="module")
def over_seeds(seeds):
    low, high = seeds
    return compare(Compare(low[0], high[0], tuple(low[1:]), tuple(high[1:]), margin=0.05))


def test_the_seed_is_a_random_effect_over_seeds(over_seeds):
    rows = {(r.kind, r.name): r for r in over_seeds.over_seeds}
    nll, accuracy, far = (rows["last", name] for name in ("nll", "accuracy", "ood-far"))
    assert nll.difference.n == accuracy.difference.n == far.difference.n == 3
    assert nll.difference.low > 0.05
    assert accuracy.difference.low < 0 < accuracy.difference.high
    assert far.difference.low > 0
    assert not accuracy.shown
    assert sum("last" in p.kinds for p in over_seeds.pairs) == 3
    assert over_seeds.seeds == 3


def test_nothing_is_claimed_about_one_seed_among_several(over_seeds):
    assert all(p.p_accuracy is p.p_nll is p.p_equivalent is None for p in over_seeds.pairs)
    assert not any(c.confirmed for p in over_seeds.pairs for c in p.behaviours)


def test_seeds_come_in_pairs(seeds):
    low, high = seeds
    with pytest.raises(BadRequest, match="names 1 runs and --seeds-b 0"):
        compare(Compare(low[0], high[0], (low[1],)))


def test_equal_accuracy_is_shown_and_not_assumed():
    assert p_within(0.0, 0.0, 0.05, 100) < 0.05
    assert p_within(0.0, 0.0, 0.05, 40) > 0.05
    assert p_within(0.05, 0.01, 0.05, 100) >= 0.5
    assert p_within(-0.05, 0.01, 0.05, 100) >= 0.5


def test_a_run_and_its_copy_are_compared_at_the_same_checkpoints(world):
    a = simulated(world, "copy", splits=1)[0]
    fixed = [p for p in places(a, a, LIMITS) if "contrast" not in p.kinds]
    assert all(p.a == p.b for p in fixed)
    assert all(difference_of(p, a, a, LIMITS).accuracy.value == 0.0 for p in fixed)


def test_luck_and_clusters_widen_a_difference(world):
    a, b = (simulated(world, name, splits=1)[0] for name in ("a", "b"))
    place = places(a, b, LIMITS)[0]
    plain = difference_of(place, a, b, LIMITS)
    lucky = difference_of(place, a, b, LIMITS, (RunLuck(0.05, 0.02), RunLuck(0.05, 0.02)))
    assert lucky.accuracy.stderr == pytest.approx(np.hypot(plain.accuracy.stderr, 0.02 * 2**0.5))
    assert lucky.nll.stderr > plain.nll.stderr
    ten = [
        replace(
            side,
            nll_sums=np.repeat(side.nll_sums, 10, 1),
            correct=np.repeat(side.correct, 10, 1),
            token_counts=np.repeat(side.token_counts, 10),
            groups=np.repeat(np.arange(len(side.token_counts)), 10),
        )
        for side in (a, b)
    ]
    clustered = difference_of(place, *ten, LIMITS)
    assert clustered.accuracy.n == plain.accuracy.n
    assert clustered.accuracy.stderr == pytest.approx(plain.accuracy.stderr)
