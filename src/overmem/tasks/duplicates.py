"""Near-duplicate questions: find examples that are rephrasings of the same problem."""

import re
import unicodedata
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int, UInt64

from overmem.records import Example

if TYPE_CHECKING:
    from scipy.cluster.hierarchy import DisjointSet

_WORD = re.compile(r"\w+|[-+*/=<>^]")
_PERMUTATIONS = 128


def problem_labels(examples: Sequence[Example], threshold: float = 0.8) -> Int[np.ndarray, " examples"]:
    """A label for each example; equal labels mean the same problem: the same group or id, or chained near-duplicates.

    Two questions are near-duplicates if the Jaccard similarity of their sets of word 3-shingles is `threshold` or more;
    numbers and operators are words. Candidates come from MinHash LSH (datasketch) and are then checked exactly.
    Shingles that a tenth of the questions share (and more than 20 questions, or half of a small set) are boilerplate of
    the task and are ignored.
    """
    from scipy.cluster.hierarchy import DisjointSet  # a recipe is read without scipy

    clusters = DisjointSet(range(len(examples)))
    first_position: dict[str, int] = {}
    for position, example in enumerate(examples):
        for key in (f"id {example.id}", f"group {example.group}" if example.group else ""):
            if key:
                clusters.merge(first_position.setdefault(key, position), position)
    if threshold < 1 and len(examples) > 1:
        _join_similar([example.question for example in examples], threshold, clusters)
    labels = np.empty(len(examples), dtype=np.int64)
    for cluster in clusters.subsets():
        labels[list(cluster)] = min(cluster)
    return labels


def _join_similar(questions: Sequence[str], threshold: float, clusters: "DisjointSet") -> None:
    from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]

    shingles = _shingles(questions)
    # LSH alone misses pairs near its threshold: use a lower one, and check the candidates exactly.
    index = MinHashLSH(threshold=max(0.1, threshold - 0.15), num_perm=_PERMUTATIONS, weights=(0.3, 0.7))
    signatures = MinHash.generator(
        ((hashes & 0xFFFFFFFF).tolist() for hashes in shingles), num_perm=_PERMUTATIONS, seed=1, hashfunc=int
    )
    for i, signature in enumerate(signatures):
        for j in index.query(signature):
            if not clusters.connected(i, j):
                n_shared = np.intersect1d(shingles[i], shingles[j], assume_unique=True).size
                if n_shared >= threshold * (shingles[i].size + shingles[j].size - n_shared):
                    clusters.merge(i, j)
        index.insert(i, signature, check_duplication=False)


def _shingles(questions: Sequence[str]) -> list[UInt64[np.ndarray, " shingles"]]:
    """The hashes of each question's word 3-shingles without boilerplate; of the whole question if none is left."""
    shingles = []
    for question in questions:
        words = _WORD.findall(unicodedata.normalize("NFKC", question).casefold())
        shingles.append(_hashes({" ".join(words[start : start + 3]) for start in range(max(1, len(words) - 2))}))
    distinct, counts = np.unique(np.concatenate(shingles), return_counts=True)
    limit = min(max(20, len(questions) // 10), max(3, len(questions) // 2))
    boilerplate = distinct[counts > limit]
    if boilerplate.size:
        shingles = [hashes[~np.isin(hashes, boilerplate)] for hashes in shingles]
    return [hashes if hashes.size else _hashes({text}) for hashes, text in zip(shingles, questions, strict=True)]


def _hashes(texts: set[str]) -> UInt64[np.ndarray, " texts"]:
    digests = b"".join(blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.unique(np.frombuffer(digests, dtype="<u8"))
