from dataclasses import replace

import pytest

from overmem.compare import Compare, compare
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
    assert named == {"ood-far": True}
    assert "It is also worse in ood-far" in found.sentences[0]


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
