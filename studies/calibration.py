"""What the leanings are worth: fitted on random worlds, and their reliability on others.

`python -m studies.calibration --fit` prints the numbers of `overmem.verdict.leaning`; without it, the reliability.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from overmem import statistics
from overmem.verdict.leaning import probabilities, scores
from overmem.verdict.naming import NAMES, names
from studies.judgements import judged
from studies.page import table
from studies.worlds import truth
from studies.worlds.kinds import random_world

BINS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 1.0)


@dataclass(frozen=True)
class Sample:
    """Checkpoints of random worlds: the last one of each run and one other."""

    z: Float[np.ndarray, "checkpoints questions"]
    yes: Bool[np.ndarray, "checkpoints questions"]
    probability: Float[np.ndarray, "checkpoints regimes"]
    true: Int[np.ndarray, " checkpoints"]
    """Place of the true regime in NAMES; -1: a loss without a rise, which has no name."""
    named: Int[np.ndarray, " checkpoints"]
    """Place of the decided regime; -1: undecided."""
    last: Bool[np.ndarray, " checkpoints"]


def sample(runs: int, purpose: str) -> Sample:
    """Random worlds judged, and what is true of them."""
    rows = []
    for seed in range(runs):
        world = random_world(purpose, seed)
        true, evidence = truth(world), judged(world, f"{purpose} {seed}")
        z, table_, named = scores(evidence), probabilities(evidence), names(evidence)
        count = len(z)
        for i in (count - 1, int(np.random.default_rng(seed).integers(0, count - 1))):
            yes = (true.kept[i], true.costly[i], true.memorized[i])
            rows.append((z[i], yes, table_[i], _place(true.regimes[i]), _place(named[i]), i == count - 1))
    columns = zip(*rows, strict=True)
    return Sample(*(np.array(c) for c in columns))


def _place(name: str) -> int:
    return NAMES.index(name) if name in NAMES else -1


def logistic(z: Float[np.ndarray, " n"], yes: Bool[np.ndarray, " n"]) -> tuple[float, float]:
    """Intercept and slope of the log odds, by Newton's method."""
    finite = np.isfinite(z)
    x, y = np.stack([np.ones(finite.sum()), np.clip(z[finite], -8, 8)], 1), yes[finite].astype(float)
    beta = np.zeros(2)
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ beta))
        beta = beta + np.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]) + 1e-6 * np.eye(2), x.T @ (y - p))
    return float(beta[0]), float(beta[1])


def reliability(runs: Sample) -> str:
    """Stated probability of the likeliest regime against how often it is the true one."""
    top = runs.probability.max(1)
    hit = runs.probability.argmax(1) == runs.true
    rows = []
    for low, high in pairwise(BINS):
        in_bin = (top >= low) & (top < high) if high < 1 else top >= low
        if not in_bin.any():
            continue
        share = statistics.share(int(hit[in_bin].sum()), int(in_bin.sum()))
        interval = f"{100 * (share.low or 0):.1f}–{100 * (share.high or 0):.1f}"
        rows.append(
            (
                f"{low:.2f}–{high:.2f}",
                share.n,
                f"{100 * top[in_bin].mean():.1f}",
                f"{100 * (share.value or 0):.1f}",
                interval,
            )
        )
    return table(("stated", "checkpoints", "mean stated, %", "right, %", "95% interval"), rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the fit or the reliability."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args(argv)
    runs = sample(options.runs, "fit" if options.fit else "reliability")
    lines = [reliability(runs)]
    for k, name in enumerate(("KEPT", "COSTLY", "MEMORIZED")):
        rows = runs.last if name == "COSTLY" else np.ones(len(runs.last), dtype=bool)
        lines.append("{} = ({:.2f}, {:.2f})".format(name, *logistic(runs.z[rows, k], runs.yes[rows, k])))
    for which, rows in (("last", runs.last), ("other", ~runs.last)):
        decided = rows & (runs.named >= 0)
        right = float((runs.named == runs.true)[decided].mean())
        lines.append(f"{which}: decided {decided.sum() / rows.sum():.3f}, of those right {right:.3f}")
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
