"""The story of a run in stretches: one name over neighbouring checkpoints, and no coming and going of noise.

The most probable sequence of names, where every change of name must be worth its price. A checkpoint keeps the name
that it earned with error control only inside a stretch of that name; elsewhere it is undecided, and leans.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from overmem.verdict.naming import NAMES
from overmem.verdict.windows import unit

CHANGE = 3.0
"""What a change of name costs, in nats of log probability."""
SURE = 0.02
"""No checkpoint's probability counts as less than this."""
SIBLINGS = {"healthy": "healthy-memorizing", "healthy-memorizing": "healthy"}
"""Names that do not contradict each other."""


def likeliest(probability: Float[np.ndarray, "checkpoints regimes"]) -> Int[np.ndarray, " checkpoints"]:
    """Place of the name of each checkpoint in the most probable sequence of stretches, by Viterbi's recursion."""
    count, size = probability.shape
    score = np.log(np.maximum(probability, SURE)) / unit(count)
    best, came = score[0], np.zeros((count, size), dtype=np.int64)
    for i in range(1, count):
        change = best.max() - CHANGE
        came[i] = np.where(best >= change, np.arange(size), int(best.argmax()))
        best = np.maximum(best, change) + score[i]
    path = [int(best.argmax())]
    for i in range(count - 1, 0, -1):
        path.append(int(came[i, path[-1]]))
    return np.array(path[::-1])


def settled(
    named: Sequence[str], probability: Float[np.ndarray, "checkpoints regimes"]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names that agree with their stretch, the others undecided; and the name of each checkpoint's stretch."""
    if not len(named):
        return (), ()
    story = tuple(NAMES[k] for k in likeliest(probability))
    kept = [
        name if name in (theirs, SIBLINGS.get(theirs)) else "undecided"
        for name, theirs in zip(named, story, strict=True)
    ]
    return tuple(_no_return(kept)), story


def _no_return(named: Sequence[str]) -> list[str]:
    """A name that others have followed does not come back: the earlier, shorter claim is withdrawn."""
    found = list(named)
    while True:
        runs = _runs(found)
        again = next((a for a, b in pairwise(runs) if any(r[0] == a[0] for r in runs[runs.index(b) + 1 :])), None)
        if again is None:
            return found
        name = again[0]
        places = [r for r in runs if r[0] == name][:2]
        between = [r for r in runs if places[0][1] < r[1] < places[1][1]]
        weakest = min([places[0], *between], key=lambda r: len(r[2]))
        for i in weakest[2]:
            found[i] = "undecided"


def _runs(named: Sequence[str]) -> list[tuple[str, int, list[int]]]:
    """Decided names with the places of their checkpoints; undecided ones in between do not part them."""
    found: list[tuple[str, int, list[int]]] = []
    for i, name in enumerate(named):
        if name == "undecided":
            continue
        key = "healthy" if name in SIBLINGS else name
        if found and found[-1][0] == key:
            found[-1][2].append(i)
        else:
            found.append((key, i, [i]))
    return found
