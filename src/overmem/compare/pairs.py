"""Pairs of checkpoints, one of each run, whose accuracies are shown to be equal and whose perplexities differ."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from overmem import statistics, store
from overmem.compare.sides import Side, Sides
from overmem.probes.consequences import consequences
from overmem.records import Estimate, Limits
from overmem.verdict.matching import Closest, Pair


def matched(both: Sides, limits: Limits, most: int, low_run: str = "") -> list[Pair]:
    """Matched pairs, the largest difference of perplexity first; with `low_run` only those of that direction."""
    places = [(i, j) for i in range(len(both.a.checkpoints)) for j in range(len(both.b.checkpoints))]
    adjusted = statistics.holm([equivalence(both.a.correct[i], both.b.correct[j], limits.margin) for i, j in places])
    pairs = []
    for (i, j), p in zip(places, adjusted, strict=True):
        nll = statistics.ratio(both.b.nll[j] - both.a.nll[i], both.tokens)
        if p is None or p >= limits.alpha or nll.low is None or nll.high is None or nll.value is None:
            continue
        if nll.low > limits.absolute:
            pairs.append((nll.value, nll, p, (both.a, i), (both.b, j), "a"))
        elif nll.high < -limits.absolute:
            pairs.append((-nll.value, statistics.negated(nll), p, (both.b, j), (both.a, i), "b"))
    pairs.sort(key=lambda pair: -pair[0])
    kept = [pair for pair in pairs if low_run in ("", pair[-1])][:most]
    return [_pair(nll, p, low, high, name, limits.alpha) for _, nll, p, low, high, name in kept]


def equivalence(left: Float[np.ndarray, " examples"], right: Float[np.ndarray, " examples"], margin: float) -> float:
    """The p value of two accuracies differing by the margin or more: the larger of two one-sided paired tests."""
    d = left - right
    n = len(d)
    stderr = float(d.std(ddof=1)) / n**0.5 if n > 1 else float("inf")
    value = float(d.mean())
    return max(statistics.noninferior(value, stderr, margin, n), statistics.noninferior(-value, stderr, margin, n))


def _pair(nll: Estimate, p: float, low: tuple[Side, int], high: tuple[Side, int], low_run: str, alpha: float) -> Pair:
    names, snapshots, correct = [], [], []
    for side, row in (low, high):
        checkpoint = side.checkpoints[row]
        names.append(f"{side.name}/{checkpoint.name}")
        snapshot = store.read_snapshot(side.run, checkpoint)
        snapshots.append(replace(snapshot, checkpoint=replace(checkpoint, name=names[-1])))
        correct.append(side.correct[row])
    n = len(correct[0])
    return Pair(
        low=names[0],
        high=names[1],
        low_run=low_run,
        accuracy_low=statistics.share(float(correct[0].sum()), n),
        accuracy_high=statistics.share(float(correct[1].sum()), n),
        accuracy_difference=statistics.newcombe(correct[0] == 1, correct[1] == 1),
        p_equivalent=p,
        nll_difference=nll,
        behaviours=consequences(snapshots[0], snapshots[1], base=low[0].base, alpha=alpha),
    )


def closest(both: Sides, limits: Limits) -> Closest:
    """The two checkpoints of most equal accuracy, and what it would take to show it."""
    gaps = np.abs(both.a.correct.mean(1)[:, None] - both.b.correct.mean(1)[None])
    i, j = (int(x) for x in np.unravel_index(int(gaps.argmin()), gaps.shape))
    deviation = float(np.std(both.a.correct[i] - both.b.correct[j]))
    gap = float(gaps[i, j])
    return Closest(
        f"{both.a.name}/{both.a.checkpoints[i].name}",
        f"{both.b.name}/{both.b.checkpoints[j].name}",
        gap,
        len(both.tokens),
        statistics.examples_needed(max(deviation, limits.margin**0.5), limits.margin - gap, alpha=limits.alpha),
        limits,
    )
