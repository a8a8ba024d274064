"""Twenty merges of a run tried at once: how often a worse one is shipped, and how often a better one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from overmem import statistics
from overmem.records import Checkpoint, Choice, Curves, Estimate
from overmem.seeds import generator
from overmem.verdict.merges import best_merge
from studies.page import table
from studies.promises import shown
from studies.trajectories import persistence

TOKENS = 75
LEVEL = 0.5
"""Nats per token of the recommended checkpoint."""


@dataclass(frozen=True)
class Merges:
    """Merges of one run, all of one true accuracy."""

    gain: float = -0.01
    """True accuracy of each merge minus that of the recommended checkpoint."""
    count: int = 20
    n: int = 500
    accuracy: float = 0.8
    discordance: float = 0.10
    """Share of answers that differ between two of them."""
    nll: float = -0.10
    """Relative nll of the merges against the recommended checkpoint's."""
    rows_per_question: int = 1


def val_of(merges: Merges, *seed: object) -> Curves:
    """Curves of the recommended checkpoint and of every merge."""
    rng = generator("merges", merges, *seed)
    questions = merges.n // merges.rows_per_question
    r = persistence(merges.accuracy, merges.discordance)
    latent = np.sqrt(r) * rng.standard_normal(questions)
    right = np.full(merges.count + 1, merges.accuracy + merges.gain)
    right[0] = merges.accuracy
    own = np.sqrt(1 - r) * rng.standard_normal((len(right), questions))
    correct = (latent + own < ndtri(right)[:, None]).astype(np.float64)
    level = np.full(len(right), LEVEL * (1 + merges.nll))
    level[0] = LEVEL
    sums = TOKENS * (level[:, None] * rng.lognormal(0, 0.3, questions) + 0.05 * rng.standard_normal(correct.shape))
    names = ("checkpoint-100", *(f"merged-{i}" for i in range(merges.count)))
    checkpoints = tuple(
        Checkpoint(name, 0 if i else 100, merged_from=("checkpoint-50", "checkpoint-100") if i else ())
        for i, name in enumerate(names)
    )
    group = np.repeat(np.arange(questions), merges.rows_per_question)
    groups = group if merges.rows_per_question > 1 else None
    return Curves(checkpoints, np.abs(sums)[:, group], np.full(len(group), TOKENS), correct[:, group], groups=groups)


def is_shipped(merges: Merges, *seed: object) -> bool:
    """Whether one of the merges takes the recommended checkpoint's place."""
    nothing = Estimate(None)
    recommended = Choice("overmem", "checkpoint-100", nothing, nothing, nothing)
    return best_merge(val_of(merges, *seed), None, recommended, ())[0].rule == "merge"


WORSE = Merges()
CASES: tuple[tuple[str, Merges, float | None], ...] = (
    ("20 merges, each one point worse", WORSE, 0.05),
    ("20 merges, each one point worse, answers differ in 4%", replace(WORSE, discordance=0.04), 0.05),
    (
        "20 merges, each one point worse, ten rows per question, n = 2,000",
        replace(WORSE, n=2000, rows_per_question=10),
        0.05,
    ),
    ("20 merges, each one point worse, n = 2,000", replace(WORSE, n=2000), 0.05),
    ("20 merges, each equal in accuracy and in nll", replace(WORSE, gain=0.0, nll=0.0), 0.05),
    ("20 merges, equal in accuracy, nll 10% lower", replace(WORSE, gain=0.0), None),
    ("3 merges, equal in accuracy, nll 10% lower, n = 2,000", replace(WORSE, gain=0.0, count=3, n=2000), None),
    ("3 merges, two points better, nll 10% lower", replace(WORSE, gain=0.02, count=3), None),
    ("3 merges, four points better, nll 10% lower", replace(WORSE, gain=0.04, count=3), None),
)
"""What is simulated, the merges, and the most that may be shipped (None: shipping is right)."""


def merge_table(runs: int, cases: Sequence[tuple[str, Merges, float | None]] = CASES) -> str:
    """How often one of the merges is shipped."""
    rows = []
    for what, merges, most in cases:
        share = statistics.share(sum(is_shipped(merges, seed) for seed in range(runs)), runs)
        within_limit = "–" if most is None else "yes" if (share.value or 0.0) <= most else "**no**"
        limit = "–" if most is None else f"at most {100 * most:.0f}"
        rows.append((what, merges.n, runs, limit, shown(share), within_limit))
    return table(("run", "n", "runs", "limit, %", "a merge is shipped, %", "held"), rows)
