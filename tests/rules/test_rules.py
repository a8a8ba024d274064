"""Contract tests: what holds for every merge rule, and the closed form of each."""

import inspect
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from overmem.errors import BadRequest
from overmem.rules import LINEAR, NEEDS_BASE, RULES
from overmem.tables import knobs

NEUTRAL: dict[str, dict[str, Any]] = {"wise_ft": {"alpha": 1.0}, "ties": {"density": 1.0}, "dare": {"drop": 0.0}}
"""Knobs with which a rule returns the checkpoint if all sources are copies of it."""
rules = pytest.mark.parametrize("name", RULES)


def random_tensor(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("name", "copies"), [(n, k) for n in RULES for k in (2, 3, 5) if n != "slerp" or k == 2])
def test_copies_of_one_model_merge_into_that_model(name: str, copies: int) -> None:
    model, base = random_tensor(1, 6, 5), random_tensor(2, 6, 5)
    merged = RULES[name]([model.clone() for _ in range(copies)], base, **NEUTRAL.get(name, {}))
    torch.testing.assert_close(merged, model, rtol=0, atol=1e-6)


@rules
def test_copies_of_the_base_merge_into_the_base(name: str) -> None:
    base = random_tensor(3, 6, 5)
    torch.testing.assert_close(RULES[name]([base.clone(), base.clone()], base.clone()), base, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in RULES if "weights" in knobs(RULES[name])])
@pytest.mark.parametrize("chosen", [0, 1])
def test_weight_one_on_one_checkpoint_gives_that_checkpoint(name: str, chosen: int) -> None:
    models, base = [random_tensor(4, 6, 5), random_tensor(5, 6, 5)], random_tensor(6, 6, 5)
    weights = [float(i == chosen) for i in range(2)]
    merged = RULES[name](models, base, weights=weights, **NEUTRAL.get(name, {}))
    torch.testing.assert_close(merged, models[chosen], rtol=0, atol=1e-6)


@rules
def test_sources_and_base_are_left_as_they_were(name: str) -> None:
    models, base = [random_tensor(7, 4, 3), random_tensor(8, 4, 3)], random_tensor(9, 4, 3)
    before = [tensor.clone() for tensor in (*models, base)]
    RULES[name](models, base)
    assert all(torch.equal(x, y) for x, y in zip((*models, base), before, strict=True))


@rules
def test_an_empty_tensor_and_a_scalar_keep_their_shape(name: str) -> None:
    for shape in ((), (1,), (0, 3)):
        models, base = [random_tensor(1, *shape), random_tensor(2, *shape)], random_tensor(3, *shape)
        assert RULES[name](models, base).shape == shape


@pytest.mark.parametrize("name", sorted(NEEDS_BASE))
def test_a_rule_that_needs_the_base_says_so(name: str) -> None:
    with pytest.raises(BadRequest, match="--base"):
        RULES[name]([random_tensor(1, 3), random_tensor(2, 3)], None)


@pytest.mark.parametrize("name", sorted(RULES.keys() - NEEDS_BASE))
def test_a_rule_that_does_not_need_the_base_works_without_it(name: str) -> None:
    assert RULES[name]([random_tensor(1, 3), random_tensor(2, 3)], None).shape == (3,)


@pytest.mark.parametrize("name", [name for name in RULES if "weights" in knobs(RULES[name])])
def test_a_wrong_number_of_weights_and_weights_that_are_not_finite_are_refused(name: str) -> None:
    models, base = [random_tensor(1, 3), random_tensor(2, 3)], random_tensor(3, 3)
    with pytest.raises(BadRequest, match="1 weights for 2 checkpoints"):
        RULES[name](models, base, weights=[1.0])
    with pytest.raises(BadRequest, match="finite"):
        RULES[name](models, base, weights=[float("nan"), 1.0])


@pytest.mark.parametrize("name", ["linear", "slerp", "wise_ft"])
def test_weights_that_would_scale_the_model_are_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="sum to 1"):
        RULES[name]([random_tensor(1, 3), random_tensor(2, 3)], random_tensor(3, 3), weights=[1.0, 1.0])


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_a_linear_rule_is_determined_by_its_coefficients_on_unit_vectors(name: str) -> None:
    models, base = [random_tensor(i, 4, 3) for i in range(3)], random_tensor(9, 4, 3)
    coefficients = RULES[name](list(torch.eye(3)), torch.zeros(3))
    expected = base + sum(c * (m - base) for c, m in zip(coefficients, models, strict=True))
    merged = RULES[name](models, base)
    torch.testing.assert_close(merged, expected)


@rules
def test_every_rule_is_documented_with_its_source_and_its_knobs(name: str) -> None:
    doc = inspect.getdoc(RULES[name]) or ""
    assert "Source: " in doc
    assert "Differs from the paper: " in doc
    assert all(f"\n    {knob}: " in doc for knob in knobs(RULES[name]))


def test_linear_is_the_weighted_average() -> None:
    merged = RULES["linear"]([torch.tensor([1.0, 2.0]), torch.tensor([5.0, 6.0])], None, weights=[0.25, 0.75])
    assert merged.tolist() == [4.0, 5.0]


def test_linear_ignores_a_checkpoint_of_weight_zero_even_if_it_diverged() -> None:
    merged = RULES["linear"]([torch.tensor([1.0]), torch.tensor([float("nan")])], None, weights=[1.0, 0.0])
    assert merged.tolist() == [1.0]


def test_wise_ft_interpolates_from_the_base_by_alpha() -> None:
    assert RULES["wise_ft"]([torch.tensor([4.0])], torch.tensor([0.0]), alpha=0.25).tolist() == [1.0]
    with pytest.raises(BadRequest, match=r"alpha is 1.5; allowed: \[0, 1\]"):
        RULES["wise_ft"]([torch.tensor([4.0])], torch.tensor([0.0]), alpha=1.5)


def test_task_arithmetic_adds_scaled_changes() -> None:
    merged = RULES["task_arithmetic"](
        [torch.tensor([3.0]), torch.tensor([7.0])], torch.tensor([1.0]), weights=[1.0, 1.0], scale=0.5
    )
    assert merged.tolist() == [1.0 + 0.5 * (2.0 + 6.0)]


def test_slerp_of_perpendicular_vectors_lies_on_the_arc() -> None:
    u, v = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    torch.testing.assert_close(RULES["slerp"]([u, v], None), torch.full((2,), 2.0**0.5))
    third = RULES["slerp"]([u, v], None, weights=[2 / 3, 1 / 3])
    torch.testing.assert_close(third, torch.tensor([3.0**0.5, 1.0]))


@given(st.integers(0, 10_000), st.floats(0.0, 1.0))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_slerp_keeps_a_common_norm_and_linear_does_not_exceed_it(seed: int, t: float) -> None:
    u, v = random_tensor(seed, 8), random_tensor(seed + 1, 8)
    u, v = u / u.norm(), v / v.norm()
    assert abs(float(RULES["slerp"]([u, v], None, weights=[1 - t, t]).norm()) - 1.0) < 1e-3
    assert float(RULES["linear"]([u, v], None, weights=[1 - t, t]).norm()) < 1.0 + 1e-6


def test_slerp_merges_exactly_two_checkpoints() -> None:
    with pytest.raises(BadRequest, match="two checkpoints; got 3"):
        RULES["slerp"]([random_tensor(1, 2)] * 3, None)


def test_ties_trims_elects_signs_and_averages_the_entries_that_agree() -> None:
    base = torch.tensor([10.0, 10.0, 10.0, 10.0])
    first, second = torch.tensor([4.0, 3.0, -0.1, 0.2]), torch.tensor([-1.0, 5.0, 0.1, 0.3])
    # Kept half: (4, 3, 0, 0) and (-1, 5, 0, 0). Signs of the sums: (+, +). Entries with that sign: 4; 3 and 5.
    merged = RULES["ties"]([base + first, base + second], base, density=0.5)
    torch.testing.assert_close(merged, torch.tensor([14.0, 14.0, 10.0, 10.0]))


def test_ties_keeps_the_requested_share_of_entries() -> None:
    base, change = torch.zeros(1000), random_tensor(11, 1000)
    kept = RULES["ties"]([change], base, density=0.2)
    assert int((kept != 0).sum()) == 200
    assert float(kept.abs()[kept != 0].min()) >= float(change.abs()[kept == 0].max())


def test_dare_keeps_the_mean_of_the_change_and_drops_the_requested_share() -> None:
    base, model = torch.zeros(200_000), torch.ones(200_000)
    merged = RULES["dare"]([model], base, drop=0.9, seed=3)
    assert merged.unique().tolist() == pytest.approx([0.0, 10.0])
    # Standard error of the mean: sqrt(9 / 200000) = 0.0067.
    assert abs(float(merged.mean()) - 1.0) < 0.03


def test_dare_depends_on_its_seed_and_drops_other_entries_in_each_source() -> None:
    base, model = torch.zeros(1000), torch.ones(1000)
    again = [RULES["dare"]([model, model], base, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(again[0], again[1])
    assert not torch.equal(again[0], again[2])
    assert {0.0, 1.0, 2.0} == set(again[0].unique().tolist())
    with pytest.raises(BadRequest, match=r"drop is 1.0; allowed: \[0, 1\)"):
        RULES["dare"]([model], base, drop=1.0)


def test_model_stock_moves_towards_the_base_as_the_changes_disagree() -> None:
    base = torch.tensor([1.0, 1.0])
    along, across = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    assert RULES["model_stock"]([base + along, base + across], base).tolist() == [1.0, 1.0]
    # cos 60 degrees = 1/2: t = 2 (1/2) / (1 + 1/2) = 2/3.
    rotated = torch.tensor([1.0, 3.0**0.5])
    merged = RULES["model_stock"]([base + along, base + rotated], base)
    torch.testing.assert_close(merged, base + 2 / 3 * (along + rotated) / 2)
