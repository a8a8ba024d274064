"""Every loss equals its formula, and every gradient its closed form, in float64."""

import functools

import pytest
import torch
from formulas import gradient, p_label, values
from torch import Tensor

from overmem.losses import LOSSES
from overmem.losses.asft import asft
from overmem.losses.mar import mar

NEEDS_REFERENCE = {name for name, loss in LOSSES.items() if getattr(loss, "needs_reference", False)}


def batch(seed: int = 0, n: int = 40, vocab: int = 31, spread: float = 2.0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z = spread * torch.randn(n, vocab, generator=generator, dtype=torch.float64)
    y = torch.randint(vocab, (n,), generator=generator)
    ref = torch.log_softmax(torch.randn(n, vocab, generator=generator, dtype=torch.float64), -1)[torch.arange(n), y]
    return z, y, ref


def loss_of(name: str, ref: Tensor) -> functools.partial:
    extra = {"reference_logprob": ref} if name in NEEDS_REFERENCE else {}
    return functools.partial(LOSSES[name], **extra)


def gradient_of(loss, z: Tensor) -> Tensor:
    leaf = z.clone().requires_grad_()
    loss(leaf).sum().backward()
    return leaf.grad


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("spread", [0.1, 2.0, 6.0])
def test_a_loss_equals_its_formula(name, spread):
    z, y, ref = batch(spread=spread)
    torch.testing.assert_close(loss_of(name, ref)(z, y), values(name, z, y, ref), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("spread", [0.1, 2.0, 6.0])
def test_a_gradient_equals_autograd_of_the_formula_and_the_closed_form(name, spread):
    z, y, ref = batch(seed=1, spread=spread)
    ours = gradient_of(lambda leaf: loss_of(name, ref)(leaf, y), z)
    torch.testing.assert_close(ours, gradient_of(lambda leaf: values(name, leaf, y, ref), z), rtol=1e-8, atol=1e-11)
    torch.testing.assert_close(ours, gradient(name, z, y, ref), rtol=1e-8, atol=1e-11)


def gate_of(loss, z: Tensor, y: Tensor) -> Tensor:
    """The gate g of grad = g (p - e_y), from the gradient of the label's logit."""
    grad = gradient_of(lambda leaf: loss(leaf, y), z)
    return grad[torch.arange(len(y)), y] / (p_label(z, y) - 1)


def test_the_gate_of_mar_is_one_minus_p_and_not_that_of_focal():
    z, y, _ = batch(seed=2)
    py = p_label(z, y)
    focal_1 = (1 - py) - py * py.log()
    torch.testing.assert_close(gate_of(mar, z, y), 1 - py)
    assert ((gate_of(mar, z, y) - focal_1).abs() > 1e-3).any()
    differentiated_weight = functools.partial(mar, stop_gradient=False)
    torch.testing.assert_close(gate_of(differentiated_weight, z, y), focal_1)


def test_mar_without_stop_gradient_is_focal_with_gamma_one():
    z, y, _ = batch(seed=3)
    both = functools.partial(mar, stop_gradient=False), functools.partial(LOSSES["focal"], gamma=1.0)
    torch.testing.assert_close(both[0](z, y), both[1](z, y))
    torch.testing.assert_close(*(gradient_of(lambda leaf, f=f: f(leaf, y), z) for f in both))


def test_limiting_knob_values_give_cross_entropy():
    z, y, ref = batch(seed=4)
    nll = LOSSES["nll"](z, y)
    for name, knobs in {
        "tsallis": {"order": 0.0},
        "focal": {"gamma": 0.0},
        "eaft": {"alpha": 0.0},
        "label_smoothing": {"smoothing": 0.0},
        "confidence_penalty": {"weight": 0.0},
        "rho": {"keep": 1.0, "reference_logprob": ref},
    }.items():
        torch.testing.assert_close(LOSSES[name](z, y, **knobs), nll)
    gem = functools.partial(LOSSES["gem"], beta=1.0)
    torch.testing.assert_close(
        gradient_of(lambda leaf: gem(leaf, y), z), gradient_of(lambda leaf: LOSSES["nll"](leaf, y), z)
    )
    torch.testing.assert_close(LOSSES["tsallis"](z, y, order=1.0), 1 - p_label(z, y))


def test_asft_at_the_base_model_equals_dft_in_value_and_gradient():
    z, y, _ = batch(seed=5)
    base = p_label(z, y).log()
    torch.testing.assert_close(asft(z, y, reference_logprob=base), LOSSES["dft"](z, y))
    ours = gradient_of(lambda leaf: asft(leaf, y, reference_logprob=base), z)
    torch.testing.assert_close(ours, gradient_of(lambda leaf: LOSSES["dft"](leaf, y), z))


def test_the_penalty_of_asft_is_a_lower_bound_of_the_full_divergence():
    z, y, _ = batch(seed=6)
    base = torch.log_softmax(batch(seed=7)[0], -1)
    divergence = (base.exp() * (base - torch.log_softmax(z, -1))).sum(-1)
    base_logprob = base[torch.arange(len(y)), y]
    penalty = (asft(z, y, reference_logprob=base_logprob, anchor=1.0) - LOSSES["dft"](z, y)).detach()
    assert (penalty >= -1e-12).all()
    assert (penalty <= divergence + 1e-12).all()
