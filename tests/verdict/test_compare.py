from dataclasses import replace

import numpy as np
import pytest

from overmem.compare import Compare, compare
from overmem.compare.pairs import equivalence
from overmem.errors import BadRequest


def test_a_matched_pair_has_equal_accuracy_and_different_perplexity(tmp_path, write_run, world):
    (tmp_path / "low").mkdir()
    low = write_run(tmp_path / "low", replace(world, shape="healthy"), seed=3)
    (tmp_path / "high").mkdir()
    high = write_run(tmp_path / "high", world, seed=3, ood_loss=0.15)
    found = compare(Compare(str(low.root), str(high.root), margin=0.05))
    pair = found.pairs[0]
    assert pair.high.startswith("high/checkpoint-")
    assert pair.nll_difference.low > 0.05
    assert pair.p_equivalent < 0.05
    assert abs(pair.accuracy_difference.value) < 0.05
    assert "solve equally much" in found.sentences[0]


def test_behaviours_stand_beside_the_pair(tmp_path, write_run, world):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    a = write_run(tmp_path / "a", world, seed=4, ood_loss=0.15)
    b = write_run(tmp_path / "b", replace(world, excess=0.3), seed=4, ood_loss=0.45)
    found = compare(Compare(str(a.root), str(b.root), margin=0.05))
    named = {c.name: c.confirmed for c in found.pairs[0].behaviours}
    assert named["ood-far"]
    assert "it is worse in (Holm-corrected): ood-far: accuracy on questions" in found.sentences[0]


def test_no_matched_pair_says_what_is_closest(tmp_path, write_run, world):
    (tmp_path / "a").mkdir()
    a = write_run(tmp_path / "a", replace(world, shape="flat"), seed=5)
    found = compare(Compare(str(a.root), str(a.root)))
    assert found.pairs == ()
    assert found.sentences[0].startswith("No pair of checkpoints is shown to have equal accuracy")


def test_runs_without_a_shared_example_are_refused(tmp_path, write_run, world):
    (tmp_path / "a").mkdir()
    a = write_run(tmp_path / "a", world)
    with pytest.raises(BadRequest, match="has no checkpoint with scores"):
        compare(Compare(str(a.root), str(a.root), split="ood-none"))


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


def test_over_seeds_every_difference_has_an_interval_in_which_the_seed_is_random(seeds):
    low, high = seeds
    found = compare(Compare(low[0], high[0], tuple(low[1:]), tuple(high[1:]), margin=0.05))
    nll, accuracy, far = (found.over_seeds[name] for name in ("nll", "accuracy", "ood-far"))
    assert nll.n == accuracy.n == far.n == 3
    assert nll.low > 0.05
    assert accuracy.low < 0 < accuracy.high
    assert far.low > 0
    assert found.sentences[-1].startswith("Over 3 of 3 seeds, the seed as a random effect")
    assert "Shown over seeds: ood-far" in found.sentences[-1]


def test_seeds_come_in_pairs(seeds):
    low, high = seeds
    with pytest.raises(BadRequest, match="names 1 runs and --seeds-b 0"):
        compare(Compare(low[0], high[0], (low[1],)))


def test_equal_accuracy_is_shown_and_not_assumed():
    right = np.arange(100) < 80
    assert equivalence(right.astype(float), right.astype(float), 0.05) < 0.05
    assert equivalence(right[:40].astype(float), right[:40].astype(float), 0.05) > 0.05
    assert equivalence(right.astype(float), (np.arange(100) < 75).astype(float), 0.05) >= 0.5
