"""How different the completions of a question are: pure functions of texts."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
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
    """Words, numbers and punctuation marks, in lower case.

    >>> words("She has 1,200 pens.")
    ['she', 'has', '1,200', 'pens', '.']
    """
    return _WORD.findall(text.lower())


def ngram_counts(texts: Sequence[Sequence[str]], n: int) -> Int[np.ndarray, "texts ngrams"]:
    """The counts of the n-grams of each text; read-only, because several metrics of a question share them."""
    return _counted(tuple(map(tuple, texts)), n)


@lru_cache(maxsize=8)
def _counted(texts: tuple[tuple[str, ...], ...], n: int) -> Int[np.ndarray, "texts ngrams"]:
    ids, vocabulary = _word_ids(texts)
    text_of = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    size = max(0, len(ids) - n + 1)
    is_within = text_of[:size] == text_of[len(text_of) - size :]  # n-grams that do not cross a text's end
    code = np.zeros(size, dtype=np.int64)
    for offset in range(n):
        code = code * vocabulary + ids[offset : offset + size]
    ngrams, index = np.unique(code[is_within], return_inverse=True)
    flat = np.bincount(text_of[:size][is_within] * len(ngrams) + index, minlength=len(texts) * len(ngrams))
    counts = flat.reshape(len(texts), len(ngrams))
    counts.flags.writeable = False
    return counts


@lru_cache(maxsize=2)
def _word_ids(texts: tuple[tuple[str, ...], ...]) -> tuple[Int[np.ndarray, " words"], int]:
    """The number of each word in sorted order, text after text, and how many different words there are."""
    id_of = {word: i for i, word in enumerate(sorted({word for text in texts for word in text}))}
    return np.array([id_of[word] for text in texts for word in text], dtype=np.int64), len(id_of)


def distinct(texts: Sequence[Sequence[str]], n: int) -> float | None:
    """Distinct n-grams divided by all n-grams of the texts, in (0, 1]; None if there are none.

    Source: Li et al. 2016, https://arxiv.org/abs/1510.03055.
    """
    counts = ngram_counts(texts, n)
    return counts.shape[1] / int(counts.sum()) if counts.size else None


def expectation_adjusted_distinct(texts: Sequence[Sequence[str]], vocabulary: int) -> float | None:
    """Distinct words divided by the number expected of as many uniform draws from the vocabulary.

    Unlike `distinct`, it does not depend on the length of the texts.

    Source: Liu et al. 2022, https://arxiv.org/abs/2202.13587.
    """
    counts = Counter(word for text in texts for word in text)
    if not counts:
        return None
    expected = vocabulary * -expm1(counts.total() * log1p(-1 / max(vocabulary, 2)))
    return len(counts) / expected


def self_bleu(texts: Sequence[Sequence[str]], order: int = 4) -> float | None:
    """Mean BLEU of each text against all others, in [0, 1]. None for fewer than two.

    It is 1 if all are equal and have at least `order` words; shorter ones lack n-grams to agree on.

    Sentence BLEU as in nltk: the closest reference length, and 0.1 in place of a count of 0 (its smoothing method 1).

    Source: Zhu et al. 2018 (Texygen), https://arxiv.org/abs/1802.01886.
    """
    if len(texts) < 2:
        return None
    logs, no_overlap = np.zeros(len(texts)), np.zeros(len(texts), dtype=bool)
    for n in range(1, order + 1):
        counts = ngram_counts(texts, n)
        second, first = np.partition(counts, -2, axis=0)[-2:]
        hits = np.minimum(counts, np.where(counts == first, second, first)).sum(1)
        no_overlap |= (hits == 0) & (n == 1)
        logs += np.log(np.where(hits > 0, hits, 0.1) / np.maximum(counts.sum(1), 1)) / order
    lengths = np.array([len(text) for text in texts])
    for i, length in enumerate(lengths):
        others = np.delete(lengths, i)
        closest = min((abs(int(other) - int(length)), int(other)) for other in others)[1]
        logs[i] += min(0.0, 1 - closest / length) if length else 0.0
    return float(np.where(no_overlap, 0.0, np.exp(logs)).mean())


def vendi(texts: Sequence[Sequence[str]]) -> float | None:
    """The effective number of different texts, from 1 to their number: exp of the entropy of the kernel's eigenvalues.

    The kernel is the cosine similarity of unigram and bigram counts.

    Source: Friedman and Dieng 2023, https://arxiv.org/abs/2210.02410.
    Differs from the paper: the kernel.
    """
    if not texts:
        return None
    is_empty = np.array([[not text] for text in texts])  # one more feature, so that no row is all 0
    features = np.hstack([ngram_counts(texts, 1), ngram_counts(texts, 2), is_empty]).astype(np.float64)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(features @ features.T / len(texts))
    values = values[values > 1e-12]
    return exp(-float(values @ np.log(values)))


def chain(text: str) -> tuple[str, ...]:
    """The calculations of a solution in order, without the words; its numbers in order if it has no calculations.

    The order of terms in a sum or product does not matter; an immediately repeated calculation counts once.

    >>> chain("She buys 5 + 3 = 8 pens, so 8 - 2 = 6."), chain("3+5 is 8. Then 8-2=<<8-2=6>>6")
    (('3+5', '8-2'), ('3+5', '8-2'))
    """
    plain = _TIMES.sub("*", re.sub(r"<<[^<>]*>>", "", text).translate(_NOTATION))
    steps = [_ordered(re.sub(r"\s", "", m.group())) for m in _SUM.finditer(plain)] or _NUMBER.findall(plain)
    return tuple(step for step, _ in groupby(steps))


def _ordered(step: str) -> str:
    for sign in "+*":
        terms = step.split(sign)
        if all(_NUMBER.fullmatch(term) for term in terms):
            return sign.join(term for _, term in sorted((float(term), term) for term in terms))
    return step


def entropy(items: Sequence[str]) -> float:
    """Entropy in nats of the distribution of equal items; 0 for none.

    >>> round(entropy(["7", "7", "8", "8"]), 4)
    0.6931
    """
    shares = np.array(list(Counter(items).values()), dtype=np.float64) / max(1, len(items))
    return max(0.0, -float(shares @ np.log(shares))) if len(items) else 0.0


def difference_chance(items: Sequence[object]) -> float | None:
    """Probability that two items drawn without replacement differ; None for fewer than two. Unbiased.

    >>> difference_chance(["a", "a", "b"])
    0.6666666666666667
    """
    n = len(items)
    if n < 2:
        return None
    return 1 - sum(count * (count - 1) for count in Counter(items).values()) / (n * (n - 1))


def rewording_chance(texts: Sequence[Sequence[str]], chains: Sequence[object]) -> float | None:
    """Share of the pairs of solutions with different words that calculate the same; None if no words differ.

    >>> rewording_chance(["so 3 + 4", "then 3 + 4", "then 3 + 4"], ["3+4", "3+4", "3+4"])
    1.0
    """

    def equal_pairs(items: Iterable[object]) -> int:
        return sum(count * (count - 1) // 2 for count in Counter(items).values())

    texts = [tuple(text) for text in texts]
    different_words = len(texts) * (len(texts) - 1) // 2 - equal_pairs(texts)
    same_chain = equal_pairs(chains) - equal_pairs(zip(texts, chains, strict=True))
    return same_chain / different_words if different_words else None
