"""Splits by content: a row's own hash decides where it goes, so neither order nor other rows matter.

Two exceptions: a new row that is nearly the same as two others chains them into one cluster, which goes where one of
them was; and where the training rows are "all the rest", a share shrinks once while the number of rows doubles.
"""

import math
from collections.abc import Mapping, Sequence

from overmem.records import Example
from overmem.seeds import seed_of

_TENTH = 0.1


def divided(
    examples: Sequence[Example], labels: Sequence[int], shares: Mapping[str, float], seed: int
) -> dict[str, list[int]]:
    """The positions of each split of `shares`, and of `train`, which gets the rest. A cluster is never divided.

    A cluster is drawn by the hash of the seed and of its key: the least of its declared groups, or else of its ids.
    Adding rows leaves every other row where it is, unless a new row chains two clusters.
    """
    keys: dict[int, str] = {}
    for label, example in zip(labels, examples, strict=True):
        key = f"group {example.group}" if example.group else f"id {example.id}"
        keys[label] = min(key, keys.get(label, key))
    homes = {label: _home(key, shares, seed) for label, key in keys.items()}
    parts: dict[str, list[int]] = {name: [] for name in (*shares, "train")}
    for position, label in enumerate(labels):
        parts[homes[label]].append(position)
    return parts


def shares_for(counts: Mapping[str, int | None], total: int) -> dict[str, float]:
    """The share of the rows that each split but `train` gets; a split's share is of what the ones before it left.

    Where every count is given, in proportion to them. Where the training rows are "all the rest", the least power of
    1/2 that holds the rows asked for (with three standard deviations to spare): it changes at most once while the
    number of rows doubles, and rows then only move towards training. A count that is not given is a tenth.
    """
    shares: dict[str, float] = {}
    remaining = list(counts)
    left = max(total, 1)
    for name, count in counts.items():
        if name == "train":
            continue
        known = [counts[other] for other in remaining]
        if count is None:
            shares[name] = _TENTH
        elif all(other is not None for other in known):
            whole = sum(other or 0 for other in known)
            shares[name] = count / whole if whole else 0.0
        else:
            needed = (count + 3 * math.sqrt(count)) / left
            shares[name] = 0.0 if count == 0 else 2.0 ** -max(1, math.floor(-math.log2(min(needed, 0.5))))
        remaining.remove(name)
        left = max(1, round(left * (1 - shares[name])))
    return shares


def drawn(examples: Sequence[Example], count: int | None, seed: int) -> tuple[Example, ...]:
    """`count` of the examples (all if None) in the order of their hashes: more of them begin with the same ones."""
    ordered = sorted(examples, key=lambda example: (seed_of(seed, "order", example.id), example.id))
    return tuple(ordered if count is None else ordered[:count])


def without_duplicates(examples: Sequence[Example]) -> list[Example]:
    """One example for each question; of several, the one whose solution sorts first, whatever the order."""
    kept: dict[str, Example] = {}
    for example in examples:
        other = kept.setdefault(example.id, example)
        if (example.solution, example.answer) < (other.solution, other.answer):
            kept[example.id] = example
    return list(kept.values())


def _home(key: str, shares: Mapping[str, float], seed: int) -> str:
    for name, share in shares.items():
        if seed_of(seed, "split", name, key) < share * 2**63:
            return name
    return "train"


def first(examples: Sequence[Example], split: str, rows: int) -> list[Example]:
    """A sample of `rows` examples, drawn by each one's own hash: a larger one keeps the examples of a smaller one."""
    return sorted(examples, key=lambda e: seed_of("audit", split, e.id))[:rows]
