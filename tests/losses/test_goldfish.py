"""Which labels the goldfish loss removes."""

import torch
from torch import Tensor

from overmem.losses.goldfish import context_hash, goldfish_labels


def ids(rows: int = 8, time: int = 500, seed: int = 0) -> Tensor:
    return torch.randint(0, 5000, (rows, time), generator=torch.Generator().manual_seed(seed))


def test_about_one_label_in_k_is_removed_and_always_the_same_ones():
    x = ids()
    for k in (2, 4, 10):
        out = goldfish_labels(x, x, k=k)
        share = float((out[:, 13:] == -100).float().mean())
        assert abs(share - 1 / k) < 0.03
        assert torch.equal(out, goldfish_labels(x, x, k=k))
        assert torch.equal(out, goldfish_labels(x, out, k=k))


def test_the_choice_depends_only_on_the_preceding_tokens():
    x = ids(2, 80)
    x[1, 30:60] = x[0, 10:40]
    dropped = goldfish_labels(x, x, context=5) == -100
    assert torch.equal(dropped[0, 15:40], dropped[1, 35:60])
    other = x.clone()
    other[:, 50] += 1
    changed = (goldfish_labels(other, x, context=5) == -100) != dropped
    assert not changed[:, :51].any()
    assert not changed[:, 56:].any()


def test_the_order_of_the_context_matters_and_token_zero_is_hashed_like_any_other():
    a, b = torch.tensor([[3, 7, 9, 1]]), torch.tensor([[7, 3, 9, 1]])
    assert context_hash(a, 3)[0, 3] != context_hash(b, 3)[0, 3]
    zero = torch.zeros(1, 40, dtype=torch.long)
    zero[0] = torch.arange(40)
    zero[0, ::5] = 0
    dropped = (goldfish_labels(zero, torch.ones_like(zero), context=6) == -100)[0, 6:]
    assert 0 < int(dropped.sum()) < 25


def test_the_first_tokens_keep_their_labels():
    x = ids(50, 20)
    assert not (goldfish_labels(x, x, k=2, context=13)[:, :13] == -100).any()
    assert (goldfish_labels(x, x, k=2, context=13)[:, 13:] == -100).any()


def test_hashes_are_spread_evenly():
    values = context_hash(ids(20, 2000), 13)[:, 13:].flatten()
    counts = torch.histc(values, bins=10, min=0, max=1) / len(values)
    assert (counts - 0.1).abs().max() < 0.01
