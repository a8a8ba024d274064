"""The chunked loss equals the plain computation: the loss, and the gradients of hidden states, matrix and bias."""

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from overmem.losses import LOSSES
from overmem.losses.chunked import chunk_rows, chunked_loss
from overmem.losses.gate import trait

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 24), st.integers(2, 90))
HEADS = st.tuples(st.booleans(), st.sampled_from([None, 2.0, 30.0]), st.sampled_from([1.0, 0.25, 3.0]))


def tensors(shape, bias: bool, seed: int, dtype) -> dict[str, Tensor]:
    n, hidden, vocab = shape
    generator = torch.Generator().manual_seed(seed)

    def normal(*size):
        return torch.randn(*size, generator=generator, dtype=torch.float64).to(dtype)

    return {
        "hidden": normal(n, hidden).requires_grad_(),
        "weight": (normal(vocab, hidden) / hidden**0.5).requires_grad_(),
        "bias": normal(vocab).requires_grad_() if bias else None,
        "labels": torch.randint(vocab, (n,), generator=generator),
        "reference_logprob": -normal(n).abs(),
    }


def unchunked(parts, loss, softcap, scale) -> Tensor:
    """The summed loss computed from all logits at once."""
    logits = parts["hidden"] @ parts["weight"].t()
    logits = logits if parts["bias"] is None else logits + parts["bias"]
    logits = logits * scale
    logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
    extra = {"reference_logprob": parts["reference_logprob"]} if trait(loss, "needs_reference") else {}
    return loss(logits, parts["labels"], **extra).sum()


def chunked(parts, loss, softcap, scale, chunk):
    return chunked_loss(
        parts["hidden"],
        parts["weight"],
        parts["labels"],
        loss,
        bias=parts["bias"],
        softcap=softcap,
        scale=scale,
        chunk=chunk,
        reference_logprob=parts["reference_logprob"] if trait(loss, "needs_reference") else None,
    )


def with_gradients(total: Tensor, parts) -> list[Tensor]:
    inputs = [t for t in (parts["hidden"], parts["weight"], parts["bias"]) if t is not None]
    return [total.detach(), *torch.autograd.grad(total / 7, inputs)]


def relative_distance(ours: Tensor, theirs: Tensor) -> float:
    """Norm of the difference over the norm of the expected tensor."""
    return float((ours - theirs).norm() / theirs.norm().clamp(min=1e-30))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(LOSSES)), SHAPES, HEADS, st.integers(1, 50), st.integers(0, 10**6))
def test_every_loss_on_any_shape_equals_the_unchunked_one_in_float64(name, shape, head, chunk, seed):
    bias, softcap, scale = head
    parts = tensors(shape, bias, seed, torch.float64)
    ours = with_gradients(chunked(parts, LOSSES[name], softcap, scale, chunk).loss_sum, parts)
    theirs = with_gradients(unchunked(parts, LOSSES[name], softcap, scale), parts)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-9, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["nll", "mar"]), SHAPES, HEADS, st.integers(1, 50), st.integers(0, 10**6))
def test_float32_is_within_a_millionth_of_the_float64_result(name, shape, head, chunk, seed):
    bias, softcap, scale = head
    parts = tensors(shape, bias, seed, torch.float32)
    exact = {k: v if v is None or not v.is_floating_point() else v.detach().double() for k, v in parts.items()}
    exact = {
        k: v.requires_grad_() if k in ("hidden", "weight", "bias") and v is not None else v for k, v in exact.items()
    }
    ours = with_gradients(chunked(parts, LOSSES[name], softcap, scale, chunk).loss_sum, parts)
    theirs = with_gradients(unchunked(exact, LOSSES[name], softcap, scale), exact)
    size = theirs[0].abs() + parts["hidden"].shape[0]
    assert abs(ours[0] - theirs[0]) <= 1e-6 * size
    for our, their in zip(ours[1:], theirs[1:], strict=True):
        floor = 1e-6 * max(1.0, scale) * (parts["hidden"].shape[0] ** 0.5) / 7  # `scale` multiplies the rounding error
        assert (our - their).norm() <= 1e-6 * their.norm() + floor


@pytest.mark.parametrize("name", LOSSES)
def test_the_size_of_the_chunks_does_not_matter(name):
    parts = tensors((33, 8, 50), True, 0, torch.float64)
    single, many, uneven = (
        with_gradients(chunked(parts, LOSSES[name], 5.0, 0.5, chunk).loss_sum, parts) for chunk in (33, 1, 7)
    )
    for a, b, c in zip(single, many, uneven, strict=True):
        torch.testing.assert_close(a, b)
        torch.testing.assert_close(a, c)


@pytest.mark.parametrize("name", ["nll", "mar", "dft", "gem"])
def test_the_training_dynamics_do_not_depend_on_the_loss(name):
    parts = tensors((30, 8, 20), False, 1, torch.float64)
    result = chunked(parts, LOSSES[name], None, 1.0, 7)
    logits = parts["hidden"] @ parts["weight"].t()
    logprob = torch.log_softmax(logits, -1)[torch.arange(30), parts["labels"]]
    torch.testing.assert_close(result.nll, -logprob)
    torch.testing.assert_close(result.nll_sum, -logprob.sum())
    torch.testing.assert_close(result.probability_sum, logprob.exp().sum())
    assert torch.equal(result.is_argmax, logits.argmax(-1) == parts["labels"])
    assert result.argmax_sum == result.is_argmax.sum()
    assert result.tokens == 30
    assert not result.nll.requires_grad


def test_frozen_inputs_get_no_gradient():
    parts = tensors((20, 8, 30), False, 2, torch.float32)
    parts["weight"].requires_grad_(False)
    chunked(parts, LOSSES["mar"], None, 1.0, 6).loss_sum.backward()
    assert parts["weight"].grad is None
    assert parts["hidden"].grad is not None
    other = tensors((20, 8, 30), False, 2, torch.float32)
    other["hidden"].requires_grad_(False)
    chunked(other, LOSSES["mar"], None, 1.0, 6).loss_sum.backward()
    assert other["hidden"].grad is None
    assert other["weight"].grad is not None


def test_under_no_grad_only_the_loss_is_computed():
    parts = tensors((20, 8, 30), False, 3, torch.float32)
    with torch.no_grad():
        result = chunked(parts, LOSSES["mar"], None, 1.0, 6)
    assert not result.loss_sum.requires_grad
    torch.testing.assert_close(result.loss_sum, unchunked(parts, LOSSES["mar"], None, 1.0).detach())


def test_a_second_backward_pass_is_refused():
    parts = tensors((5, 4, 6), False, 4, torch.float32)
    total = chunked(parts, LOSSES["nll"], None, 1.0, 2).loss_sum
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="second backward"):
        total.backward()


@pytest.mark.parametrize("name", ["nll", "mar", "gem"])
@pytest.mark.parametrize("how", ["bf16", "autocast"])
def test_bf16_gradients_are_summed_in_float32(name, how):
    """Summing over 64 chunks must not lose more precision than rounding the inputs of each product does."""
    exact = tensors((512, 32, 64), False, 5, torch.float64)
    rounded = {k: v.detach().to(torch.bfloat16) if k in ("hidden", "weight") else v for k, v in exact.items()}
    exact = {k: rounded[k].double().requires_grad_() if k in ("hidden", "weight") else v for k, v in exact.items()}
    dtype = torch.bfloat16 if how == "bf16" else torch.float32
    parts = {k: rounded[k].to(dtype).requires_grad_() if k in ("hidden", "weight") else v for k, v in rounded.items()}
    with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
        total = chunked(parts, LOSSES[name], None, 1.0, 8).loss_sum
    assert total.dtype == torch.float32
    ours = with_gradients(total, parts)
    theirs = with_gradients(unchunked(exact, LOSSES[name], None, 1.0), exact)
    assert ours[1].dtype == ours[2].dtype == dtype
    assert relative_distance(ours[0], theirs[0]) < 1e-3
    assert relative_distance(ours[1].double(), theirs[1]) < 1e-2
    assert relative_distance(ours[2].double(), theirs[2]) < 5e-3


@given(st.integers(0, 10**6), st.integers(1, 300_000), st.booleans())
def test_chunks_stay_in_the_budget_and_cover_every_row(n, vocab, on_cpu):
    rows = chunk_rows(n, vocab, on_cpu)
    assert rows >= 1
    assert rows == 1 or rows * vocab <= (2**24 if on_cpu else 2**27)


def test_a_user_defined_loss_on_logits_can_be_chunked():
    def squared(logits, labels, *, power=2.0):
        return (1 - torch.softmax(logits, -1)[torch.arange(len(labels)), labels]) ** power

    parts = tensors((30, 8, 20), True, 6, torch.float64)
    user_loss = functools.partial(squared, power=3.0)
    ours = with_gradients(chunked(parts, user_loss, 4.0, 2.0, 7).loss_sum, parts)
    for a, b in zip(ours, with_gradients(unchunked(parts, user_loss, 4.0, 2.0), parts), strict=True):
        torch.testing.assert_close(a, b)


def test_rho_ranks_over_all_tokens_and_not_within_a_chunk():
    parts = tensors((40, 8, 20), False, 7, torch.float64)
    parts["hidden"].data[:20] *= 5  # the first chunks hold most of the excess
    keep = functools.partial(LOSSES["rho"], keep=0.3)
    ours = with_gradients(chunked(parts, keep, None, 1.0, 10).loss_sum, parts)
    for a, b in zip(ours, with_gradients(unchunked(parts, keep, None, 1.0), parts), strict=True):
        torch.testing.assert_close(a, b)


class LargestTensor(TorchDispatchMode):
    """Records the size of the largest tensor that any operation returned."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, Tensor):
                self.numel = max(self.numel, tensor.numel())
        return out


@pytest.mark.parametrize("name", LOSSES)
def test_no_tensor_is_as_large_as_tokens_times_vocabulary(name):
    parts = tensors((400, 4, 300), True, 8, torch.float32)
    with LargestTensor() as largest:
        chunked(parts, LOSSES[name], None, 1.0, 10).loss_sum.backward()
    assert largest.numel <= max(10 * 300, 400 * 4)
    with LargestTensor() as largest:
        unchunked(parts, LOSSES[name], None, 1.0).backward()
    assert largest.numel >= 400 * 300
