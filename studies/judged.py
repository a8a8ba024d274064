"""Simulated runs judged in bulk: how often each regime is named, and what each selection rule picks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
from jaxtyping import Float

from overmem import statistics
from overmem.records import Curves, Estimate, Limits
from overmem.verdict import onset, regimes
from overmem.verdict.candidates import selection_inputs
from overmem.verdict.selection import SELECTION_RULES
from studies.trajectories import World, simulated, truth


@dataclass(frozen=True)
class Cell:
    """One kind of run, judged many times."""

    world: World
    margin: float = 0.03
    d_nll: float = 0.05
    asks: tuple[str, ...] = ("regime",)
    """Any of `regime`, `onset`, `picks`, `references`."""


@dataclass(frozen=True)
class Tally:
    """Counts over the runs of a cell."""

    cell: Cell
    runs: int
    last: Mapping[str, int] = field(default_factory=dict)
    """Regime of the last checkpoint -> runs."""
    any_over_memorized: int = 0
    """Runs in which some checkpoint was called over-memorized."""
    any_false: int = 0
    """Runs in which some checkpoint was called over-memorized that is not, by the truth of the simulation."""
    covered: int = 0
    intervals: int = 0
    """Runs with an onset interval, and those of them whose interval holds the true onset."""
    width: float = 0.0
    """Mean width of these intervals, in steps."""
    regret: Mapping[str, Float[np.ndarray, " runs"]] = field(default_factory=dict)
    """Selection rule -> true accuracy of the best checkpoint minus that of the picked one."""
    healthy: Mapping[str, float] = field(default_factory=dict)
    """Selection rule -> share of runs in which the picked checkpoint is truly within d_nll of the minimum."""
    kept: Mapping[str, int] = field(default_factory=dict)
    """Reference -> runs in which the last checkpoint's accuracy was called kept."""

    def rate(self, count: int) -> Estimate:
        """A share of the runs, with Wilson's interval."""
        return statistics.share(count, self.runs)


def tally(cell: Cell, runs: int, extra: Callable[[Sequence[Curves]], Mapping[str, list[int]]] | None = None) -> Tally:
    """Judge `runs` seeded runs of a cell. `extra` adds the picks of rules that look at many curves at once."""
    true = truth(cell.world, d_nll=cell.d_nll, margin=cell.margin)
    costly = true.nll > true.nll.min() + cell.d_nll
    false = ~(costly & (true.accuracy > true.accuracy.max() - cell.margin))
    last: dict[str, int] = {}
    any_, any_false, covered, widths = 0, 0, 0, []
    picked: dict[str, list[int]] = {}
    kept: dict[str, int] = {}
    val_of_runs: list[Curves] = []
    for seed in range(runs):
        (val,) = simulated(cell.world, "judged", seed)
        limits = Limits(margin=cell.margin, d_nll=cell.d_nll)
        verdicts = regimes(val, limits)
        last[verdicts[-1].regime] = last.get(verdicts[-1].regime, 0) + 1
        called = np.array([v.regime == "over-memorized" for v in verdicts])
        any_ += bool(called.any())
        any_false += bool((called & false).any())
        if "onset" in cell.asks and true.onset is not None:
            start = onset(val, verdicts, limits, draws=400)
            step = None if start is None else start.step
            if step is not None and step.low is not None and step.high is not None:
                covered += step.low <= true.onset <= step.high
                widths.append(step.high - step.low)
        if "picks" in cell.asks:
            board = selection_inputs(val)
            for rule, pick in SELECTION_RULES.items():
                picked.setdefault(rule, []).append(pick(board, cell.d_nll))
            val_of_runs.append(val)
        if "references" in cell.asks:
            for name, was in references(val, cell.margin).items():
                kept[name] = kept.get(name, 0) + was
    if extra is not None and val_of_runs:
        picked |= extra(val_of_runs)
    return Tally(
        cell,
        runs,
        last,
        any_,
        any_false,
        covered,
        len(widths),
        float(np.mean(widths)) if widths else 0.0,
        {rule: true.accuracy.max() - true.accuracy[rows] for rule, rows in picked.items()},
        {rule: float((~costly[rows]).mean()) for rule, rows in picked.items()},
        kept,
    )


def references(curves: Curves, margin: float, alpha: float = 0.05) -> dict[str, bool]:
    """Whether the last checkpoint's accuracy is called kept, against four references."""
    correct = curves.correct
    n = correct.shape[1]
    best = int(correct.mean(1).argmax())

    def against(i: int) -> float:
        d = correct[-1] - correct[i]
        return statistics.noninferior(float(d.mean()), float(d.std(ddof=1)) / sqrt(n), margin, n)

    verdict = regimes(curves, Limits(margin=margin, d_nll=0.05, alpha=alpha))[-1]
    return {
        "the best of all, on the same examples": against(best) < alpha,
        "the best on nine folds, measured on the tenth": _crossfitted_best(correct, margin) < alpha,
        "every stretch of the run (ours)": bool(verdict.tests.kept),
    }


def _crossfitted_best(correct: Float[np.ndarray, "checkpoints examples"], margin: float) -> float:
    from overmem.verdict.quantities import folds

    n = correct.shape[1]
    fold = folds(n, 0)
    rest = np.stack([correct[:-1, fold != f].mean(1) for f in range(fold.max() + 1)], 1)
    d = correct[-1] - correct[rest.argmax(0)[fold], np.arange(n)]
    return statistics.noninferior(float(d.mean()), float(d.std(ddof=1)) / sqrt(n), margin, n)
