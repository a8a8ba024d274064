"""Contract tests: what holds for every token loss in the table."""

import functools
import inspect

import pytest
import torch
from torch import Tensor

from overmem.errors import BadRequest
from overmem.losses import LOSSES
from overmem.losses.chunked import chunked_loss
from overmem.losses.gate import trait
from overmem.tables import first_line, knobs

ALL = pytest.mark.parametrize("name", LOSSES)
UNRANKED = [name for name in LOSSES if not trait(LOSSES[name], "ranks_tokens")]


def with_reference(name: str, n: int) -> functools.partial:
    extra = {"reference_logprob": torch.full((n,), -1.5)} if trait(LOSSES[name], "needs_reference") else {}
    return functools.partial(LOSSES[name], **extra)


def logits(n: int = 12, vocab: int = 23, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, vocab, generator=generator), torch.randint(vocab, (n,), generator=generator)


@ALL
def test_a_loss_is_unreduced_and_in_float32_at_least(name):
    z, y = logits()
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        loss = with_reference(name, 12)(z.to(dtype), y)
        assert loss.shape == (12,)
        assert loss.dtype == torch.float32
    assert with_reference(name, 12)(z.double(), y).dtype == torch.float64


@pytest.mark.parametrize("name", UNRANKED)
def test_a_tokens_loss_does_not_depend_on_the_other_tokens_unless_it_ranks_them(name):
    z, y = logits()
    whole = with_reference(name, 12)(z, y)
    for i in range(12):
        torch.testing.assert_close(with_reference(name, 1)(z[i : i + 1], y[i : i + 1]), whole[i : i + 1])


@ALL
@pytest.mark.parametrize("factor", [0.0, 30.0, 1e4])
def test_extreme_logits_give_finite_losses_and_gradients(name, factor):
    z, y = logits(seed=1)
    z = (z * factor).requires_grad_()
    loss = with_reference(name, 12)(z, y)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(z.grad).all()


@ALL
def test_a_certain_label_and_an_impossible_one_stay_finite(name):
    z = torch.zeros(2, 5)
    z[:, 3] = 200.0
    z.requires_grad_()
    loss = with_reference(name, 2)(z, torch.tensor([3, 0]))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(z.grad).all()


@ALL
def test_adding_a_constant_to_all_logits_changes_nothing(name):
    z, y = logits()
    torch.testing.assert_close(
        with_reference(name, 12)(z + 3.0, y), with_reference(name, 12)(z, y), rtol=1e-4, atol=1e-5
    )


@ALL
def test_the_gradients_of_one_token_sum_to_zero(name):
    z, y = logits()
    z.requires_grad_()
    with_reference(name, 12)(z, y).sum().backward()
    torch.testing.assert_close(z.grad.sum(-1), torch.zeros(12), atol=1e-5, rtol=0)


@ALL
def test_the_loss_of_no_tokens_is_zero(name):
    hidden = torch.zeros(0, 4, requires_grad=True)
    weight = torch.randn(7, 4, requires_grad=True)
    result = chunked_loss(
        hidden, weight, torch.zeros(0, dtype=torch.long), LOSSES[name], reference_logprob=torch.zeros(0)
    )
    result.loss_sum.backward()
    assert result.loss_sum.item() == 0.0
    assert result.tokens == 0
    assert not weight.grad.any()


@ALL
def test_every_loss_documents_its_source_its_knobs_and_how_it_differs(name):
    text = inspect.getdoc(LOSSES[name])
    assert len(first_line(LOSSES[name])) > 10
    assert "Source:" in text
    assert "Differs from the paper:" in text
    for knob in knobs(LOSSES[name]):
        assert f"{knob}:" in text


@ALL
def test_a_loss_that_needs_the_base_model_says_so(name):
    z, y = logits()
    if trait(LOSSES[name], "needs_reference"):
        with pytest.raises(BadRequest, match="reference_logprob"):
            LOSSES[name](z, y)
    else:
        assert LOSSES[name](z, y).shape == (12,)


@pytest.mark.parametrize(
    ("name", "knob", "bad"),
    [
        ("focal", "gamma", -1.0),
        ("eaft", "top", 1),
        ("gem", "beta", 0.0),
        ("gem", "beta", 1.5),
        ("label_smoothing", "smoothing", 1.0),
        ("confidence_penalty", "weight", -0.1),
        ("rho", "keep", 0.0),
        ("asft", "anchor", -1.0),
        ("tsallis", "order", -0.5),
    ],
)
def test_a_knob_out_of_range_is_refused_with_what_is_allowed(name, knob, bad):
    z, y = logits()
    with pytest.raises(BadRequest, match=f"{knob}.*allowed"):
        with_reference(name, 12)(z, y, **{knob: bad})
