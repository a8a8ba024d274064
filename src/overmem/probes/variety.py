"""How unlike one another a question's completions are: pure functions of texts."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from math import exp, expm1, log1p

import numpy as np
from jaxtyping import Int

_WORD = re.compile(r"\d+(?:[.,]\d+)*|\w+|[^\w\s]")
_SUM = re.compile(r"\d+(?:\.\d+)?(?:\s*[-+*/]\s*\d+(?:\.\d+)?)+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_NOTATION = str.maketrans({"×": "*", "÷": "/", "−": "-", "–": "-", "$": "", ",": "", "(": "", ")": ""})
_TIMES = re.compile(r"(?<=\d)\s*(?:x|\\times|\\cdot)\s*(?=\d)")


def words(text: str) -> list[str]:
    """Words, numbers and marks, in lower case.

    >>> words("She has 1,200 pens.")
    ['she', 'has', '1,200', 'pens', '.']
    """
    return _WORD.findall(text.lower())


def ngram_counts(texts: Sequence[Sequence[str]], n: int) -> Int[np.ndarray, "texts ngrams"]:
    """How often each text holds each run of n tokens that any of them holds."""
    number = {word: at for at, word in enumerate(sorted({word for text in texts for word in text}))}
    token = np.array([number[word] for text in texts for word in text], dtype=np.int64)
    owner = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    size = max(0, len(token) - n + 1)
    within = owner[:size] == owner[len(owner) - size :]
    code = np.zeros(size, dtype=np.int64)
    for shift in range(n):
        code = code * len(number) + token[shift : shift + size]
    kinds, kind = np.unique(code[within], return_inverse=True)
    flat = np.bincount(owner[:size][within] * len(kinds) + kind, minlength=len(texts) * len(kinds))
    return flat.reshape(len(texts), len(kinds))


def distinct(texts: Sequence[Sequence[str]], n: int) -> float | None:
    """Different n-grams over all n-grams of the texts together, in (0, 1]; None where there are none.

    Source: Li et al. 2016, https://arxiv.org/abs/1510.03055.
    """
    counts = ngram_counts(texts, n)
    return counts.shape[1] / int(counts.sum()) if counts.size else None


def expectation_adjusted_distinct(texts: Sequence[Sequence[str]], vocabulary: int) -> float | None:
    """Different words over those that as many uniform draws from the vocabulary would show: free of length.

    Source: Liu et al. 2022, https://arxiv.org/abs/2202.13587.
    """
    together = Counter(word for text in texts for word in text)
    if not together:
        return None
    expected = vocabulary * -expm1(together.total() * log1p(-1 / max(vocabulary, 2)))
    return len(together) / expected


def self_bleu(texts: Sequence[Sequence[str]], order: int = 4) -> float | None:
    """Mean BLEU of each text against all the others, in [0, 1]. None for fewer than two.

    It is 1 where all are the same and have at least `order` words; shorter ones lack n-grams to agree on.

    Sentence BLEU as in nltk: the closest reference length, and 0.1 in place of a count of 0 (its smoothing method 1).

    Source: Zhu et al. 2018 (Texygen), https://arxiv.org/abs/1802.01886.
    """
    if len(texts) < 2:
        return None
    logs, nothing = np.zeros(len(texts)), np.zeros(len(texts), dtype=bool)
    for n in range(1, order + 1):
        counts = ngram_counts(texts, n)
        second, first = np.partition(counts, -2, axis=0)[-2:]
        hits = np.minimum(counts, np.where(counts == first, second, first)).sum(1)
        nothing |= (hits == 0) & (n == 1)
        logs += np.log(np.where(hits > 0, hits, 0.1) / np.maximum(counts.sum(1), 1)) / order
    lengths = np.array([len(text) for text in texts])
    for i, length in enumerate(lengths):
        others = np.delete(lengths, i)
        closest = min((abs(int(other) - int(length)), int(other)) for other in others)[1]
        logs[i] += min(0.0, 1 - closest / length) if length else 0.0
    return float(np.where(nothing, 0.0, np.exp(logs)).mean())


def vendi(texts: Sequence[Sequence[str]]) -> float | None:
    """The effective number of different texts, from 1 to their number: exp of the entropy of the kernel's eigenvalues.

    The kernel is the cosine of counts of words and of pairs of words.

    Source: Friedman and Dieng 2023, https://arxiv.org/abs/2210.02410.
    Differs from the paper: the kernel.
    """
    if not texts:
        return None
    empty = np.array([[not text] for text in texts])
    table = np.hstack([ngram_counts(texts, 1), ngram_counts(texts, 2), empty]).astype(np.float64)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(table @ table.T / len(texts))
    values = values[values > 1e-12]
    return exp(-float(values @ np.log(values)))


def chain(text: str) -> tuple[str, ...]:
    """The calculations of a solution in order, without its wording; its numbers in order where it shows none.

    Sums and products are the same in either order of their terms; a calculation repeated at once counts once.

    >>> chain("She buys 5 + 3 = 8 pens, so 8 - 2 = 6."), chain("3+5 is 8. Then 8-2=<<8-2=6>>6")
    (('3+5', '8-2'), ('3+5', '8-2'))
    """
    plain = _TIMES.sub("*", re.sub(r"<<[^<>]*>>", "", text).translate(_NOTATION))
    found = [_ordered(re.sub(r"\s", "", m.group())) for m in _SUM.finditer(plain)] or _NUMBER.findall(plain)
    return tuple(step for step, _ in groupby(found))


def _ordered(step: str) -> str:
    for sign in "+*":
        terms = step.split(sign)
        if all(_NUMBER.fullmatch(term) for term in terms):
            return sign.join(term for _, term in sorted((float(term), term) for term in terms))
    return step


def entropy(items: Sequence[str]) -> float:
    """Entropy in nats of the shares of equal items; 0 for none.

    >>> round(entropy(["7", "7", "8", "8"]), 4)
    0.6931
    """
    shares = np.array(list(Counter(items).values()), dtype=np.float64) / max(1, len(items))
    return max(0.0, -float(shares @ np.log(shares))) if len(items) else 0.0


def difference_chance(items: Sequence[object]) -> float | None:
    """Chance that two of the items, picked without replacement, differ; None for fewer than two. Unbiased.

    >>> difference_chance(["a", "a", "b"])
    0.6666666666666667
    """
    n = len(items)
    if n < 2:
        return None
    return 1 - sum(count * (count - 1) for count in Counter(items).values()) / (n * (n - 1))


def rewording_chance(texts: Sequence[Sequence[str]], chains: Sequence[object]) -> float | None:
    """Of the pairs of solutions in different words, the share that calculate the same; None where no words differ.

    >>> rewording_chance(["so 3 + 4", "then 3 + 4", "then 3 + 4"], ["3+4", "3+4", "3+4"])
    1.0
    """

    def alike(items: Iterable[object]) -> int:
        return sum(count * (count - 1) // 2 for count in Counter(items).values())

    wordings = [tuple(text) for text in texts]
    other_words = len(wordings) * (len(wordings) - 1) // 2 - alike(wordings)
    same_chain = alike(chains) - alike(zip(wordings, chains, strict=True))
    return same_chain / other_words if other_words else None
