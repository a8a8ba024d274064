"""Adapters at a chosen rank, in real PEFT models: the best approximation of the update, with its error."""

import json
from pathlib import Path

import pytest
import torch

from overmem.errors import BadRequest
from overmem.merging.at_rank import factors_of_matrix, factors_of_product
from overmem.merging.options import Merge
from overmem.merging.updates import updates
from overmem.merging.verb import merge
from overmem.models.discovery import MERGE_NOTE, find_checkpoints
from overmem.rules import RULES
from tests.merging.made import random_llama, train
from tests.merging.test_adapters import changes, load_adapter

PAIR = ("checkpoint-10", "checkpoint-50")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    random_llama(0, tie_word_embeddings=False).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def merged(base: Path, **options) -> tuple[Path, float]:
    folder = merge(Merge(str(base.parent / "run"), PAIR, base=str(base), **options))
    return folder, json.loads((folder / MERGE_NOTE).read_text())["error_of_rank"]


def relative_error(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    missing = sum(float(((found[n] - expected[n]) ** 2).sum()) for n in expected)
    return (missing / sum(float((t**2).sum()) for t in expected.values())) ** 0.5


def test_factors_are_the_best_approximation_and_say_what_they_leave_out():
    up, down = torch.randn(12, 6), torch.randn(6, 9)
    matrix = up @ down
    values = torch.linalg.svdvals(matrix)
    for factors in (factors_of_product(up, down, 2), factors_of_matrix(matrix, 2)):
        assert factors.up.shape == (12, 2)
        missing = float(((factors.up @ factors.down - matrix) ** 2).sum())
        assert missing == pytest.approx(float((values[2:] ** 2).sum()), rel=1e-3)
        assert factors.missing == pytest.approx(missing, rel=1e-3)
        assert factors.total == pytest.approx(float((matrix**2).sum()), rel=1e-3)


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}])
def test_a_sum_at_the_sum_of_the_ranks_is_exact_and_at_half_of_it_its_error_is_the_one_that_is_said(base, options):
    for step in (10, 50):
        train(base, step, **options)
    exact = changes(base, merge(Merge(str(base.parent / "run"), PAIR, base=str(base), name="merged-exact")))
    folder, error = merged(base, rank=8, name="merged-8")
    assert error < 1e-5
    assert relative_error(changes(base, folder), exact) < 1e-5
    folder, error = merged(base, rank=4, name="merged-4")
    assert 0.05 < error < 0.9
    assert relative_error(changes(base, folder), exact) == pytest.approx(error, rel=1e-3)
    assert load_adapter(base, folder).peft_config["default"].r == 4


@pytest.mark.parametrize("rule", ["slerp", "ties", "dare", "model_stock"])
def test_a_rule_that_is_not_linear_combines_the_weight_updates(base, rule):
    for step in (10, 50):
        train(base, step, target_modules=["q_proj", "down_proj"])
    run = base.parent / "run"
    parts = [changes(base, run / name) for name in PAIR]
    folder, error = merged(base, rule=rule, rank=32)
    assert error < 1e-4
    found = changes(base, folder)
    for name, tensor in found.items():
        if rule == "dare":  # random by name
            continue
        expected = RULES[rule]([part[name] for part in parts], torch.zeros_like(tensor))
        torch.testing.assert_close(tensor, expected, rtol=1e-3, atol=1e-4)
    assert sum(float(t.abs().sum()) > 0 for t in found.values()) >= 2


def test_an_odd_rank_tensors_trained_in_full_and_mixed_ranks(base):
    for step, r in ((10, 2), (50, 5)):
        train(base, step, r=r, modules_to_save=["lm_head"])
    folder, error = merged(base, rank=3, rule="ties", knobs={"density": 1.0})
    assert 0 < error < 1
    load_adapter(base, folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"rank": 0}, "allowed: 1 or more"), ({"rule": "ties"}, "--rank"), ({"rank": 4, "checkpoints": None}, "")],
)
def test_a_rank_that_cannot_be_had_is_refused(base, options, message):
    for step in (10, 50):
        train(base, step, use_dora="checkpoints" in options)
    options.pop("checkpoints", None)
    with pytest.raises(BadRequest, match=message or "DoRA"):
        merged(base, **options)


def test_full_weights_have_no_rank(tmp_path):
    for seed, name in enumerate(("base", *(f"run/{name}" for name in PAIR))):
        random_llama(seed).save_pretrained(tmp_path / name)
    with pytest.raises(BadRequest, match="LoRA"):
        merged(tmp_path / "base", rank=4)


def test_the_updates_of_two_checkpoints_have_an_angle(base):
    """Adapters without forming a matrix, full weights against the base: both as the matrices themselves say."""
    for step in (10, 50):
        train(base, step)
    run = base.parent / "run"
    parts = [torch.cat([t.flatten() for t in changes(base, run / name).values()]) for name in PAIR]
    angle = updates(find_checkpoints(run, str(base)), *PAIR)
    assert angle is not None
    assert angle.cosine == pytest.approx(float(torch.nn.functional.cosine_similarity(*parts, dim=0)), abs=1e-4)
    mean = (parts[0] + parts[1]) / 2
    assert angle.kept == pytest.approx(float(mean.norm() / ((parts[0].norm() + parts[1].norm()) / 2)), rel=1e-4)


def test_opposite_updates_of_full_weights_cancel(tmp_path):
    start = random_llama(0)
    start.save_pretrained(tmp_path / "base")
    change = random_llama(1, spread=0.01).state_dict()
    for sign, name in ((1, PAIR[0]), (-1, PAIR[1])):
        model = random_llama(0)
        model.load_state_dict({n: v + sign * change[n] for n, v in start.state_dict().items()})
        model.save_pretrained(tmp_path / "run" / name)
    angle = updates(find_checkpoints(tmp_path / "run", str(tmp_path / "base")), *PAIR)
    assert angle is not None
    assert angle.cosine == pytest.approx(-1, abs=1e-3)
    assert angle.kept < 0.05
