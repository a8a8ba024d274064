"""pass@k, pass^k, best-of-k and majority voting for the draws of one question: pure functions."""

from collections.abc import Sequence
from math import comb

import numpy as np
from jaxtyping import Bool, Float

from overmem.seeds import generator


def pass_at(k: int, draws: int, correct: int) -> float:
    """Probability that at least one of k draws without replacement is right (pass@k). Unbiased.

    Args:
        k: number of draws.
        draws: number of draws to choose from.
        correct: how many of these are right.

    >>> pass_at(1, 4, 1), pass_at(2, 4, 1), pass_at(4, 4, 1)
    (0.25, 0.5, 1.0)

    Source: Chen et al. 2021, https://arxiv.org/abs/2107.03374.
    """
    return 1.0 - comb(draws - correct, k) / comb(draws, k)


def pass_all(k: int, draws: int, correct: int) -> float:
    """Probability that all of k draws without replacement are right (pass^k). Unbiased.

    >>> pass_all(1, 4, 2), pass_all(2, 4, 3)
    (0.5, 0.5)

    Source: Yao et al. 2024, https://arxiv.org/abs/2406.12045.
    """
    return comb(correct, k) / comb(draws, k)


def best_of(k: int, score: Float[np.ndarray, " draws"], correct: Bool[np.ndarray, " draws"]) -> float:
    """Probability that the highest-scored of k draws without replacement is right. Exact; ties are broken at random.

    The draw of rank r by score (from 0) is the best in comb(n-1-r, k-1) of the comb(n, k) subsets.
    """
    n = len(score)
    _, level = np.unique(-score, return_inverse=True)
    share = np.bincount(level, correct.astype(np.float64)) / np.bincount(level)
    order = np.argsort(-score, kind="stable")
    weight = np.array([comb(n - 1 - r, k - 1) for r in range(n)], dtype=np.float64) / comb(n, k)
    return float(weight @ share[level[order]])


def majority_of(k: int, answers: Sequence[str], correct: Sequence[bool], *, seed: Sequence[object] = ()) -> float:
    """Probability that the most common answer of k draws is right. Ties are broken at random; no answer, no vote.

    Exact for one draw and for all of them; otherwise the mean over 200 seeded subsets.

    Args:
        k: number of draws.
        answers: the answer of each draw; empty for none.
        correct: whether it is right.
        seed: seed of the subsets.

    Source: Wang et al. 2023 (self-consistency), https://arxiv.org/abs/2203.11171.
    """
    n = len(answers)
    names = sorted({answer for answer in answers if answer})
    if not names:
        return 0.0
    votes = np.array([[answer == name for name in names] for answer in answers], dtype=np.float64)
    right = np.array([any(c for a, c in zip(answers, correct, strict=True) if a == name) for name in names])
    if k == n:
        subsets = np.arange(n)[None]  # [1 n]
    elif k == 1:
        subsets = np.arange(n)[:, None]  # [n 1]
    else:
        random = generator("majority", k, *seed)
        subsets = np.argsort(random.random((200, n)), axis=1)[:, :k]  # [200 k]
    counts = votes[subsets].sum(1)  # [n answers] -> [subsets k answers] -> [subsets answers]
    top = counts.max(1, keepdims=True)
    leaders = (counts == top) & (top > 0)
    return float((leaders @ right.astype(np.float64) / np.maximum(leaders.sum(1), 1)).mean())
