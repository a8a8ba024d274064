"""What sampled completions add to the verdict: kept accuracy by means over draws, on simulated runs.

`python -m studies.draws docs/results/draws.md` makes the page.
"""

import sys
from pathlib import Path

import numpy as np

from overmem import statistics
from overmem.records import Checkpoint, Curves, Estimate, Limits
from overmem.seeds import generator
from overmem.verdict import regimes
from studies.page import table

CHECKPOINTS, MARGIN = 6, 0.03
LOST = (0.0, 0.03, 0.05)
"""True accuracy that the last checkpoint has lost."""
SIZES, DRAWS = (200, 300, 500, 1000), (1, 2, 4, 8)
JITTER = 0.15
"""Standard deviation of a question's chance between checkpoints."""

INTRODUCTION = """\
# What draws are worth: accuracy decided with fewer questions

Made by `python -m studies.draws docs/results/draws.md`: {runs} simulated runs a cell of
{checkpoints} checkpoints with equal true accuracy, but for the last one, which has lost what the heading says.
A question is right with a chance of its own (Beta(0.6, 0.9): accuracy about 0.4), which moves between
checkpoints by noise of standard deviation {jitter}. The verdict (`diagnose --accuracy draws`) sees the mean over
so many draws of each question. Shares of runs in which the last checkpoint's accuracy is called *kept* (margin
{margin}, alpha 0.05), in percent with Wilson's 95% interval.

One draw stands for a single answer at temperature. Greedy answers change less from checkpoint to checkpoint
than single draws do, so the first column is what one draw decides, not what greedy answers do: for those see
[verdict.md](verdict.md) by their discordance."""


def simulated(questions: int, draws: int, lost: float, random: np.random.Generator) -> Curves:
    """One run: checkpoints of equal true accuracy, but for the last; every question has a chance at every checkpoint.

    Chances are Beta(0.6, 0.9), moved at each checkpoint by Gaussian noise and cut to 0..1; the last checkpoint's are
    scaled down to lose `lost`. Correctness is the mean of `draws` independent answers.
    """
    chance = random.beta(0.6, 0.9, questions)
    true = np.clip(chance + random.normal(0, JITTER, (CHECKPOINTS, questions)), 0, 1)
    true[-1] *= 1 - lost / true[-1].mean()
    nll = np.tile(random.gamma(20, 0.5, questions), (CHECKPOINTS, 1))
    steps = tuple(Checkpoint(f"checkpoint-{i}", i) for i in range(1, CHECKPOINTS + 1))
    return Curves(steps, nll, np.full(questions, 20), random.binomial(draws, true) / draws)


def kept(questions: int, draws: int, lost: float, runs: int) -> Estimate:
    """Share of runs whose last checkpoint is shown to have kept its accuracy, with Wilson's interval."""
    called = 0
    for run in range(runs):
        curves = simulated(questions, draws, lost, generator("draws", questions, draws, lost, run))
        called += bool(regimes(curves, Limits(margin=MARGIN))[-1].tests.kept)
    return statistics.share(called, runs)


def page(runs: int = 400) -> str:
    """The whole page."""
    parts = [INTRODUCTION.format(runs=runs, checkpoints=CHECKPOINTS, jitter=JITTER, margin=MARGIN)]
    for lost in LOST:
        rows = [(f"{n:,}", *(_percent(kept(n, draws, lost, runs)) for draws in DRAWS)) for n in SIZES]
        head = ("questions", *(f"{draws} draw{'s' * (draws > 1)}" for draws in DRAWS))
        parts += ["", f"## {_heading(lost)}", table(head, rows)]
    return "\n".join(parts) + "\n"


def _heading(lost: float) -> str:
    if not lost:
        return "Nothing lost: the higher the better"
    return f"{lost:g} lost{', just the margin' if lost == MARGIN else ''}: at most 5 is wanted"


def _percent(share: Estimate) -> str:
    value, low, high = (100 * (x or 0.0) for x in (share.value, share.low, share.high))
    return f"{value:.1f} ({low:.1f}–{high:.1f})"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
