"""Splits by content: the hash of a row decides its split, so neither the order of the rows nor other rows matter.

Two exceptions: a new row that is a near-duplicate of two others joins them into one cluster, which goes to the split of
one of them; and if training takes all remaining rows, the share of a split changes once per doubling of the rows.
"""

import math
from collections.abc import Mapping, Sequence

from overmem.records import Example
from overmem.seeds import seed_of

_TENTH = 0.1


def assign_splits(
    examples: Sequence[Example], labels: Sequence[int], shares: Mapping[str, float], seed: int
) -> dict[str, list[int]]:
    """The indices of each split in `shares`, and of `train`, which gets the rest. A cluster is never divided.

    A cluster's split follows from the hash of the seed and of its key, which is the smallest of its declared groups, or
    else of its ids. Adding rows does not move others, unless a new row joins two clusters.

    Args:
        examples: the examples to divide.
        labels: the cluster of each.
        shares: split -> its share of the rows that the splits before it left.
        seed: seed of the assignment.
    """
    keys: dict[int, str] = {}
    for label, example in zip(labels, examples, strict=True):
        key = f"group {example.group}" if example.group else f"id {example.id}"
        keys[label] = min(key, keys.get(label, key))
    split_of = {label: _split_of(key, shares, seed) for label, key in keys.items()}
    splits: dict[str, list[int]] = {name: [] for name in (*shares, "train")}
    for index, label in enumerate(labels):
        splits[split_of[label]].append(index)
    return splits


def shares_for(counts: Mapping[str, int | None], total: int) -> dict[str, float]:
    """The share of each split except `train`, out of the rows that the splits before it left.

    If every count is set, the shares are proportional to them. If training takes all remaining rows, the share is the
    smallest power of 1/2 that yields the requested rows (with three standard deviations to spare): it changes at most
    once while the number of rows doubles, and rows then only move towards training. Without a count it is a tenth.
    """
    shares: dict[str, float] = {}
    remaining = list(counts)
    rows_left = max(total, 1)
    for name, count in counts.items():
        if name == "train":
            continue
        requested = [n for n in (counts[other] for other in remaining) if n is not None]
        if count is None:
            shares[name] = _TENTH
        elif len(requested) == len(remaining):
            shares[name] = count / sum(requested) if sum(requested) else 0.0
        else:
            share_needed = (count + 3 * math.sqrt(count)) / rows_left
            shares[name] = 0.0 if count == 0 else 2.0 ** -max(1, math.floor(-math.log2(min(share_needed, 0.5))))
        remaining.remove(name)
        rows_left = max(1, round(rows_left * (1 - shares[name])))
    return shares


def take(examples: Sequence[Example], count: int | None, seed: int) -> tuple[Example, ...]:
    """The first `count` examples (all if None) in the order of their hashes."""
    ordered = sorted(examples, key=lambda example: (seed_of(seed, "order", example.id), example.id))
    return tuple(ordered if count is None else ordered[:count])


def without_duplicates(examples: Sequence[Example]) -> list[Example]:
    """One example per question: of several, the one whose solution sorts first, whatever the order of the rows."""
    kept: dict[str, Example] = {}
    for example in examples:
        other = kept.setdefault(example.id, example)
        if (example.solution, example.answer) < (other.solution, other.answer):
            kept[example.id] = example
    return list(kept.values())


def _split_of(key: str, shares: Mapping[str, float], seed: int) -> str:
    for name, share in shares.items():
        if seed_of(seed, "split", name, key) < share * 2**63:
            return name
    return "train"


def sample(examples: Sequence[Example], split: str, rows: int) -> list[Example]:
    """A fixed sample of `rows` examples in the order of their hashes: a larger sample contains every smaller one."""
    return sorted(examples, key=lambda e: seed_of("audit", split, e.id))[:rows]
