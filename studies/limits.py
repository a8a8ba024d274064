"""What no rule can do: the best power on runs whose accuracy is level, at a stated error after a one-checkpoint peak.

A run of level accuracy in which one checkpoint was lucky, and a run in which one checkpoint truly was better by the
margin, look alike. By the lemma of Neyman and Pearson no test beats the likelihood ratio of the two; here it even knows
the noise, that the lead is exactly the margin, and that the run is otherwise level.

`python -m studies.limits` prints the table.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from overmem.seeds import generator
from studies.page import table

LEVEL = 9
"""Checkpoints of level accuracy; the last three are the stretch that is judged, the peak is one of the others."""
JUDGED = 3
MARGIN = 0.03


@dataclass(frozen=True)
class Trade:
    """Errors against power of the best test there is."""

    level: Float[np.ndarray, " runs"]
    """Log likelihood ratio of runs without a peak."""
    peaked: Float[np.ndarray, " runs"]
    """The same of runs with one."""

    def power(self, error: float) -> float:
        """Share of level runs that may be called kept where this share of the peaked ones is."""
        return float((self.level < np.quantile(self.peaked, error)).mean())

    def error(self, power: float) -> float:
        """Share of the peaked runs that are called kept where this share of the level ones is."""
        return float((self.peaked < np.quantile(self.level, power)).mean())


def trade(n: int, discordance: float, *, luck: float = 0.0, lead: float = MARGIN, runs: int = 100_000) -> Trade:
    """The likelihood ratio's log of runs without and with a peak.

    Args:
        n: examples of val.
        discordance: share of answers that differ between two checkpoints of equal accuracy.
        luck: standard deviation of the luck of a checkpoint's accuracy.
        lead: of the peak over the rest, as a fraction.
        runs: simulated.
    """
    height = lead / sqrt(discordance / 2 / n + luck**2)
    rng = generator("limits", n, discordance, luck, lead)
    level = rng.standard_normal((runs, LEVEL))
    peaked = rng.standard_normal((runs, LEVEL))
    peaked[np.arange(runs), rng.integers(0, LEVEL - JUDGED, runs)] += height
    return Trade(_log_ratio(level, height), _log_ratio(peaked, height))


def _log_ratio(accuracy: Float[np.ndarray, "runs checkpoints"], height: float) -> Float[np.ndarray, " runs"]:
    """Log likelihood of a peak at any of the places over that of none, the level of the run unknown."""
    centred = accuracy - accuracy.mean(1, keepdims=True)
    peak = np.eye(LEVEL)[: LEVEL - JUDGED] - 1 / LEVEL
    score = height * centred @ peak.T - 0.5 * height**2 * (peak**2).sum(1)
    return np.asarray(logsumexp(score, axis=1))


def limits_table() -> str:
    """Rows over examples, discordance and luck."""
    rows = []
    for n, discordance, luck, lead in (
        (300, 0.10, 0.0, 0.03),
        (500, 0.10, 0.0, 0.03),
        (500, 0.05, 0.0, 0.03),
        (1000, 0.10, 0.0, 0.03),
        (1000, 0.10, 0.01, 0.05),
        (1000, 0.10, 0.02, 0.05),
    ):
        best = trade(n, discordance, luck=luck, lead=lead)
        rows.append(
            (
                f"{n:,}",
                f"{discordance:.2f}",
                f"{100 * luck:.0f}",
                f"{100 * lead:.0f}",
                f"{100 * best.power(0.06):.0f}",
                f"{100 * best.error(0.75):.1f}",
                f"{100 * best.error(0.85):.1f}",
            )
        )
    return table(
        (
            "n",
            "discordant answers",
            "luck, points",
            "lead of the peak, points",
            "most level runs called kept, % (peak passes in 6%)",
            "peak passes, % (75% of level runs kept)",
            "peak passes, % (85% kept)",
        ),
        rows,
    )


if __name__ == "__main__":
    print(limits_table())  # noqa: T201
