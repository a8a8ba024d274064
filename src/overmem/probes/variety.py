"""How unlike one another a question's completions are: pure functions of texts."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from math import exp, expm1, log, log1p

import numpy as np

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


def ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each run of n tokens occurs."""
    return Counter(zip(*(tokens[i:] for i in range(n)), strict=False))


def distinct(texts: Sequence[Sequence[str]], n: int) -> float | None:
    """Different n-grams over all n-grams of the texts together, in (0, 1]; None where there are none.

    Source: Li et al. 2016, https://arxiv.org/abs/1510.03055.
    """
    together = sum((ngrams(text, n) for text in texts), Counter[tuple[str, ...]]())
    return len(together) / together.total() if together else None


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
    """Mean BLEU of each text against all the others, in [0, 1]; 1 where all are the same. None for fewer than two.

    Sentence BLEU as in nltk: the closest reference length, and 0.1 in place of a count of 0 (its smoothing method 1).

    Source: Zhu et al. 2018 (Texygen), https://arxiv.org/abs/1802.01886.
    """
    if len(texts) < 2:
        return None
    logs = np.zeros(len(texts))
    nothing = np.zeros(len(texts), dtype=bool)
    for n in range(1, order + 1):
        counts = [ngrams(text, n) for text in texts]
        first, second, owner = _two_largest(counts)
        for i, own in enumerate(counts):
            hits = sum(min(c, second[g] if owner[g] == i else first[g]) for g, c in own.items())
            nothing[i] |= n == 1 and hits == 0
            logs[i] += log((hits or 0.1) / max(1, own.total())) / order
    lengths = [len(text) for text in texts]
    for i, length in enumerate(lengths):
        closest = min((abs(other - length), other) for j, other in enumerate(lengths) if j != i)[1]
        logs[i] += min(0.0, 1 - closest / length) if length else 0.0
    return float(np.where(nothing, 0.0, np.exp(logs)).mean())


def _two_largest(
    counts: Sequence[Counter[tuple[str, ...]]],
) -> tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]], dict[tuple[str, ...], int]]:
    """The largest count of each n-gram in any text, the second largest, and whose the largest is."""
    first, second = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    owner: dict[tuple[str, ...], int] = {}
    for i, own in enumerate(counts):
        for gram, count in own.items():
            if count > first[gram]:
                second[gram], first[gram], owner[gram] = first[gram], count, i
            elif count > second[gram]:
                second[gram] = count
    return first, second, owner


def vendi(texts: Sequence[Sequence[str]]) -> float | None:
    """The effective number of different texts, from 1 to their number: exp of the entropy of the kernel's eigenvalues.

    The kernel is the cosine of counts of words and of pairs of words.

    Source: Friedman and Dieng 2023, https://arxiv.org/abs/2210.02410.
    Differs from the paper: the kernel.
    """
    if not texts:
        return None
    counts = [ngrams(text, 1) + ngrams(text, 2) for text in texts]
    column = {gram: at for at, gram in enumerate(sorted({gram for own in counts for gram in own}))}
    table = np.zeros((len(texts), len(column) + 1))
    for i, own in enumerate(counts):
        for gram, count in own.items():
            table[i, column[gram]] = count
        table[i, -1] = not own
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(table @ table.T / len(texts))
    values = values[values > 1e-12]
    return float(exp(-(values @ np.log(values))))


def chain(text: str) -> tuple[str, ...]:
    """The calculations of a solution in order, without its wording; its numbers in order where it shows none.

    Sums and products are the same in either order of their terms; a calculation said twice in a row counts once.

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
