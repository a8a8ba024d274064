"""The most probable regime of each checkpoint, with a calibrated probability: what error control does not yet allow.

Three questions, kept, costly and memorized, each have a z score. The probability of yes is a normal probability of that
score, flattened by what the simulated worlds show it to be worth (`python -m studies.calibration` fits the numbers and
draws the reliability diagram). The regimes' probabilities are the products.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from overmem.verdict.facts import Facts
from overmem.verdict.memory import MEMORY
from overmem.verdict.naming import NAMES

KEPT = (0.52, 1.09)
COSTLY = (-0.69, 1.92)
MEMORIZED = (0.0, 1.68)
"""Intercept and slope of the log odds of each question, over its z score."""


def scores(facts: Facts) -> Float[np.ndarray, "checkpoints questions"]:
    """Z scores of kept, costly and memorized: how far the estimate lies on the side of yes."""
    held, risen = facts.accuracy, facts.rise
    kept = (held.gap + held.margin) / held.gap_stderr
    costly = (risen.log_rise - risen.limit) / risen.stderr
    memorized = np.full(len(kept), np.nan)
    if facts.memory is not None:
        ratio, edge = np.log(1 - facts.memory.memory), np.log(1 - facts.memory.high)
        memorized = (np.log(1 - MEMORY) - ratio) / np.maximum((ratio - edge) / 1.96, 1e-9)
    return np.stack([kept, costly, memorized], 1)


def probabilities(facts: Facts) -> Float[np.ndarray, "checkpoints regimes"]:
    """Probability of each of NAMES at each judged checkpoint; what is missing to 1 is a loss without a rise."""
    z = np.clip(scores(facts), -30, 30)
    kept, costly, memorized = (expit(a + b * z[:, k]) for k, (a, b) in enumerate((KEPT, COSTLY, MEMORIZED)))
    unknown = np.isnan(memorized)
    memory_if_cheap, memory_if_costly = np.where(unknown, 0.0, memorized), np.where(unknown, 1.0, memorized)
    after = np.arange(len(kept)) > facts.rise.trough
    falling = np.where(after, 0.0, costly)
    costly = np.where(after, costly, 0.0)
    later = facts.accuracy.later
    climbing = np.where(costly > 0.5, 1 - facts.accuracy.p_climbing, 0.0)
    columns = {
        "under-trained": (1 - kept) * later * (1 - costly) + kept * falling,
        "still-learning": (1 - kept) * later * costly + kept * costly * climbing,
        "healthy": kept * (1 - costly - falling) * (1 - memory_if_cheap),
        "healthy-memorizing": kept * (1 - costly - falling) * memory_if_cheap,
        "over-memorized": kept * costly * memory_if_costly * (1 - climbing),
        "risen-not-memorized": kept * costly * (1 - memory_if_costly) * (1 - climbing),
        "over-fitted": (1 - kept) * (1 - later) * costly,
    }
    return np.stack([columns[name] for name in NAMES], 1)


def leanings(facts: Facts) -> tuple[tuple[str, float], ...]:
    """The most probable regime of each judged checkpoint, and its probability."""
    table = probabilities(facts)
    return tuple((NAMES[int(row.argmax())], float(row.max())) for row in table)
