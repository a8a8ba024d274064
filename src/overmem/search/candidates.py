"""The weightings that a search tries. Pure, but for the function that scores one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Weights = Mapping[str, float]
Score = Callable[[str, str, Weights], float]
"""(rule, label, weights) -> nll per token on val."""
SIZES = (2, 3, 4, 6, 8, 12, 16, 24, 32)
SHARES = (0.25, 0.5, 0.75)
EMA = (0.5, 0.8, 0.9)
TEMPERATURES = (0.01, 0.05)
"""Nats per token by which a checkpoint's nll is higher when its weight is smaller by a factor e."""
SIMPLEX = 5
"""Checkpoints of the simplex, at most."""
EVALUATIONS = 30
"""Points of the simplex that are observed, at most."""


@dataclass(frozen=True)
class Trajectory:
    """The single checkpoints of a run."""

    names: Sequence[str]
    """Trained checkpoints in time order."""
    nll: Mapping[str, float]
    """On val, in nats per token."""
    best: str
    """The best single one."""
    base: str | None = None
    """`base` if the base model's weights are known."""

    @property
    def ends(self) -> tuple[str, str] | None:
        """The best checkpoint and the last; if they are one, that of the lowest nll, or the first, and the last."""
        last = self.names[-1]
        starts = (self.best, min(self.names, key=lambda name: self.nll[name]), self.names[0])
        return next(((start, last) for start in starts if start != last), None)


def fixed(run: Trajectory) -> Iterator[tuple[str, str, Weights]]:
    """(rule, label, weights) of every weighting that depends on no score.

    Sources: the pair of arXiv 2508.04117; uniform soups of 2203.05482; windows (LAWA) of 2209.14981; decays (WSM) of
    2507.17634, c_0 = 1 - w_1, c_j = w_j - w_(j+1), c_k = w_k; an exponential moving average from saved checkpoints;
    weights by the nll (2504.18580); the line to the base (WiSE) of 2109.01903.
    """
    names, last, count = list(run.names), run.names[-1], len(run.names)
    if run.best != last:
        yield "pair", f"{run.best} and {last}", {run.best: 0.5, last: 0.5}
    if run.ends is not None:
        start, end = run.ends
        for share in SHARES:
            yield "line", f"{share:g} of the way from {start} to {end}", {start: 1 - share, end: share}
    if run.base is not None:
        for share in SHARES:
            yield (
                "base-line",
                f"{share:g} of the way from {run.base} to {run.best}",
                {run.base: 1 - share, run.best: share},
            )
    if count > 1:
        yield "uniform", f"all {count}", dict.fromkeys(names, 1 / count)
    yield from _windows(run)
    for momentum in EMA if count > 2 else ():
        yield "ema", f"momentum {momentum:g}", averaged(names, momentum)
    for temperature in TEMPERATURES if count > 2 else ():
        yield "nll", f"temperature {temperature:g}", likelier(run, temperature)


def _windows(run: Trajectory) -> Iterator[tuple[str, str, Weights]]:
    """Windows that end at the last checkpoint or lie around the best, and decays over the last checkpoints."""
    names, count = list(run.names), len(run.names)
    for size in [size for size in SIZES if size < count]:
        for end in dict.fromkeys((count, min(count, max(size, names.index(run.best) + 1 + size // 2)))):
            window = names[end - size : end]
            yield "window", f"{size} up to {window[-1]}", dict.fromkeys(window, 1 / size)
    for size in [size for size in SIZES if 3 <= size <= count]:
        for decay, multiplier in DECAYS.items():
            yield "wsm", f"{decay} over the last {size}", decayed(names[-size:], multiplier)


DECAYS: Mapping[str, Callable[[float], float]] = {
    "cosine": lambda share: 0.5 * (1 + float(np.cos(np.pi * share))),
    "1-sqrt": lambda share: 1 - float(np.sqrt(share)),
}
"""Learning rate over the share of the decay that is over. A linear one gives a window with equal weights."""


def decayed(names: Sequence[str], multiplier: Callable[[float], float]) -> Weights:
    """The weights that imitate a learning rate which decays over these checkpoints."""
    size = len(names)
    w = [1.0, *(multiplier(j / size) for j in range(1, size)), 0.0]
    return {name: w[j] - w[j + 1] for j, name in enumerate(names)}


def likelier(run: Trajectory, temperature: float) -> Weights:
    """Weights proportional to exp(-nll / temperature): the likelier a checkpoint finds val, the more it weighs.

    Differs from arXiv 2504.18580 (metrics-weighted averaging): by the nll on val, not by the training loss.
    """
    lowest = min(run.nll.values())
    weights = {name: float(np.exp(-(run.nll[name] - lowest) / temperature)) for name in run.names}
    kept = {name: w for name, w in weights.items() if w > 1e-6}
    return {name: w / sum(kept.values()) for name, w in kept.items()}


def averaged(names: Sequence[str], momentum: float) -> Weights:
    """The weights of an exponential moving average e_t = m e_(t-1) + (1 - m) theta_t, from the first checkpoint."""
    powers = [momentum ** (len(names) - 1 - j) for j in range(len(names))]
    return {
        name: power * (1.0 if j == 0 else 1 - momentum)
        for j, (name, power) in enumerate(zip(names, powers, strict=True))
    }


def greedy(run: Trajectory, score: Score) -> None:
    """A greedy soup by nll: checkpoints from the lowest nll on join with equal weights while the nll falls.

    Differs from arXiv 2203.05482: by the nll on val, not by accuracy.
    """
    order = sorted(run.names, key=lambda name: run.nll[name])
    chosen, lowest = order[:1], run.nll[order[0]]
    for name in order[1:]:
        soup = sorted([*chosen, name], key=list(run.names).index)
        nll = score("greedy", f"{len(soup)} checkpoints with {name}", dict.fromkeys(soup, 1 / len(soup)))
        if nll < lowest:
            chosen, lowest = [*chosen, name], nll


def simplex(run: Trajectory, score: Score) -> None:
    """The weights of the few best checkpoints that minimise the nll on val, by scipy's COBYQA."""
    from scipy.optimize import LinearConstraint, minimize

    order = sorted(run.names, key=lambda name: run.nll[name])
    few = list(dict.fromkeys([run.best, run.names[-1], *order]))[:SIMPLEX]
    few.sort(key=list(run.names).index)
    free = len(few) - 1
    if free < 1:
        return

    def nll(x: np.ndarray) -> float:
        parts = np.round(np.clip(x, 0, 1), 3)  # a resumed search then finds the same points
        rest = max(0.0, 1 - float(parts.sum()))
        total = float(parts.sum()) + rest
        weights = {name: float(w) / total for name, w in zip(few, [*parts, rest], strict=True) if w > 0}
        return score("simplex", " ".join(f"{weights.get(name, 0):.3f}" for name in few), weights)

    minimize(
        nll,
        np.full(free, 1 / len(few)),
        method="COBYQA",
        bounds=[(0, 1)] * free,
        constraints=LinearConstraint(np.ones((1, free)), -np.inf, 1),
        options={"maxfev": EVALUATIONS, "initial_tr_radius": 0.3, "final_tr_radius": 0.02},
    )
