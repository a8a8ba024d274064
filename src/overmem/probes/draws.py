"""pass@k, pass^k, best-of-k and majority voting for the draws of one question: pure functions."""

from collections import Counter
from collections.abc import Sequence
from math import comb

import numpy as np
from jaxtyping import Bool, Float


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


def majority_of(k: int, answers: Sequence[str], correct: Sequence[bool]) -> float:
    """Probability that the most common answer of k draws without replacement is right. Exact.

    Ties are broken at random; a draw without an answer has no vote. For each right answer and each number of votes it
    can win with, the subsets are counted in which the other answers have no more.

    Args:
        k: number of draws.
        answers: the answer of each draw; empty for none.
        correct: whether it is right.

    >>> majority_of(3, ["7", "7", "8"], [True, True, False]), majority_of(2, ["7", "7", "8"], [True, True, False])
    (1.0, 0.6666666666666666)

    Source: Wang et al. 2023 (self-consistency), https://arxiv.org/abs/2203.11171.
    """
    counts = Counter(answers)
    blank = counts.pop("", 0)
    right = {answer for answer, is_right in zip(answers, correct, strict=True) if answer and is_right}
    won = 0.0
    for answer in right:
        others = [count for name, count in counts.items() if name != answer]
        for votes in range(1, min(k, counts[answer]) + 1):
            subsets = _subsets(k - votes, votes, others, blank)
            won += comb(counts[answer], votes) * sum(ways / (tied + 1) for tied, ways in subsets.items())
    return won / comb(len(answers), k)


def _subsets(size: int, votes: int, others: Sequence[int], blank: int) -> dict[int, int]:
    """Number of answers that have exactly `votes` votes -> subsets of the draws in which none has more.

    Args:
        size: draws in a subset.
        votes: the most that an answer may have.
        others: how many draws have each answer.
        blank: how many draws have none.
    """
    ways: dict[tuple[int, int], int] = {(size - used, 0): comb(blank, used) for used in range(min(size, blank) + 1)}
    for count in others:
        grown: dict[tuple[int, int], int] = {}
        for (left, tied), number in ways.items():
            for used in range(min(count, votes, left) + 1):
                state = (left - used, tied + (used == votes))
                grown[state] = grown.get(state, 0) + number * comb(count, used)
        ways = grown
    return {tied: number for (left, tied), number in ways.items() if not left}
