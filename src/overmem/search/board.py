"""The candidates that a search has observed so far, and the two stages that observe them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from overmem import statistics
from overmem.records import Curves, Estimate
from overmem.search.candidates import EVALUATIONS, Trajectory, Weights, fixed, greedy, simplex
from overmem.verdict.clusters import cluster_sums

Progress = Callable[[str, float, float], None]


class Observer(Protocol):
    """Where the observations of a candidate come from."""

    @property
    def draws(self) -> int:
        """Sampled completions of every question, from which pass@k is computed; 0: greedy ones only."""

    def key(self, weights: Weights) -> str:
        """A name for the weights; equal models have equal names."""

    def nll_sums(self, weights: Weights, split: str) -> Mapping[str, float]:
        """Summed nll of every solution, by example."""

    def answers(self, weights: Weights, split: str) -> Mapping[str, tuple[float, float]]:
        """By example: whether the greedy completion is right, and pass@k (NaN without draws)."""

    def answers_of(self, checkpoint: str, split: str) -> Mapping[str, tuple[float, float]]:
        """The same of a single checkpoint, as it was audited."""

    def winners(self, split: str) -> int:
        """Merges whose answers to a split were observed, in this search and in earlier ones."""


@dataclass(frozen=True)
class Answers:
    """Of one candidate on one split, in the order of the split's curves; NaN where there is none."""

    correct: np.ndarray
    passed: np.ndarray
    """pass@k."""


class _TimeIsUp(Exception):
    """Ends the first stage."""


@dataclass
class Board:
    """The candidates that were observed on val."""

    observer: Observer
    val: Curves
    progress: Progress
    deadline: float | None = None
    """When no further candidate is observed, by the monotonic clock; None for no limit."""
    total: int = 0
    tried: dict[str, tuple[str, str, Weights]] = field(default_factory=dict)
    """Key -> the rule that proposed it first, label and weights."""
    proposed: dict[str, set[str]] = field(default_factory=dict)
    """Rule -> keys of everything that it proposed."""
    sums: dict[str, np.ndarray] = field(default_factory=dict)
    """Key -> summed nll of every val solution."""
    nlls: dict[str, Estimate] = field(default_factory=dict)
    """Key -> nll per token on val, with its interval."""

    def score(self, rule: str, label: str, weights: Weights) -> float:
        """Nll per token on val; observed unless it was before. A single checkpoint was audited, and is no candidate."""
        used = [name for name, w in weights.items() if w]
        if len(used) == 1:
            row = [c.name for c in self.val.checkpoints].index(used[0])
            return value_of(ratio(self.val.nll_sums[row], self.val.token_counts, self.val))
        key = self.observer.key(weights)
        if key not in self.sums:
            if self.deadline is not None and time.monotonic() > self.deadline:
                raise _TimeIsUp
            self.progress(f"{rule}: {label}", len(self.sums), max(self.total, len(self.sums) + 1))
            self.sums[key] = aligned(self.observer.nll_sums(weights, "val"), self.val)
            self.nlls[key] = ratio(self.sums[key], self.val.token_counts, self.val)
            self.tried[key] = (rule, label, weights)
        self.proposed.setdefault(rule, set()).add(key)
        return value_of(self.nlls[key])

    @property
    def picks(self) -> dict[str, str]:
        """Rule -> key of its candidate with the lowest nll, the lowest first."""
        order = self.order
        best = {rule: min(keys, key=order.index) for rule, keys in self.proposed.items()}
        return dict(sorted(best.items(), key=lambda pick: order.index(pick[1])))

    @property
    def order(self) -> list[str]:
        """The keys, that of the lowest nll first."""
        return sorted(self.tried, key=lambda key: value_of(self.nlls[key]))


def observe_candidates(run: Trajectory, board: Board) -> bool:
    """Observe every candidate on val; whether the time sufficed."""
    first = list(fixed(run))
    board.total = len(first) + len(run.names) + EVALUATIONS
    try:
        for rule, label, weights in first:
            board.score(rule, label, weights)
        greedy(run, board.score)
        simplex(run, board.score)
    except _TimeIsUp:
        return False
    return True


def observe_finalists(board: Board, picks: Mapping[str, str], count: int, deadline: float | None) -> dict[str, Answers]:
    """The answers of the finalists on val: of each rule's candidate of the lowest nll.

    Args:
        board: what was observed.
        picks: rule -> key of its candidate with the lowest nll, the lowest first.
        count: number of finalists.
        deadline: when no further one is observed; None for no limit.
    """
    finalists = list(dict.fromkeys(picks.values()))[:count]
    if "pair" in picks and picks["pair"] not in finalists:
        finalists[-1] = picks["pair"]
    answers: dict[str, Answers] = {}
    for number, key in enumerate(finalists):
        if number and deadline is not None and time.monotonic() > deadline:
            break
        board.progress(f"finalist {board.tried[key][1]}", number, len(finalists))
        answers[key] = answers_in_order(board.observer.answers(board.tried[key][2], "val"), board.val)
    return answers


def value_of(nll: Estimate) -> float:
    """The value, infinite where it was not measured."""
    return np.inf if nll.value is None else nll.value


def aligned(values: Mapping[str, float], curves: Curves) -> np.ndarray:
    """Values in the order of the curves' examples; NaN where there is none."""
    return np.array([values.get(identity, np.nan) for identity in curves.example_ids])


def answers_in_order(values: Mapping[str, tuple[float, float]], curves: Curves) -> Answers:
    """Answers in the order of the curves' examples."""
    nothing = (np.nan, np.nan)
    both = np.array([values.get(identity, nothing) for identity in curves.example_ids]).reshape(-1, 2)
    return Answers(both[:, 0], both[:, 1])


def ratio(top: np.ndarray, bottom: np.ndarray, curves: Curves) -> Estimate:
    """The ratio of two sums over the examples where the first was observed, with rephrasings as clusters."""
    seen = np.isfinite(top)
    if not seen.any():
        return Estimate(None, note="not measured")
    groups = curves.groups_of(seen)
    sums, tokens = cluster_sums(np.stack([top[seen], bottom[seen].astype(np.float64)]), groups)
    return statistics.ratio(sums, tokens)


def share(values: np.ndarray, curves: Curves) -> Estimate:
    """The mean over the examples."""
    return ratio(values, np.ones(len(values)), curves)
