"""The evaluation losses of one set in a trainer's log, and whether they diverged."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from overmem.store.logs.evaluations import CHOSEN_NLL, Evaluation, first_logged
from overmem.store.logs.metrics import DIRECTIONS

DIVERGED = 15.0
"""Nats per token: worse than uniform guessing among three million tokens, so only a broken run reaches it."""


@dataclass(frozen=True)
class Losses:
    """The logged evaluation losses."""

    nll: Float[np.ndarray, " checkpoints"]
    """NaN where there is none or it is unusable."""
    diverged_at: int | None
    """Index from which on no loss is usable; None if the last one is."""
    has_negative: bool
    notes: list[str]


def losses_of(evaluations: Sequence[Evaluation]) -> Losses:
    """The losses of one evaluation set; a perplexity is used where no loss was logged."""
    names = [
        CHOSEN_NLL,
        "nll",
        "loss",
        *(n for n, d in DIRECTIONS.items() if d.kind == "nll" and n not in ("nll", "loss")),
    ]
    perplexities = [n for n, d in DIRECTIONS.items() if d.kind == "perplexity"]
    raw = first_logged(evaluations, names)
    for i, e in enumerate(evaluations):
        perplexity = next((e.values[n] for n in perplexities if n in e.values), None)
        if math.isnan(raw[i]) and not any(n in e.values for n in names) and perplexity is not None and perplexity > 0:
            raw[i] = math.log(perplexity)
    is_logged = np.array([any(n in e.values for n in (*names, *perplexities)) for e in evaluations])
    is_negative = raw < 0
    is_broken = is_logged & (~np.isfinite(raw) | (raw > DIVERGED))
    start = _divergence(is_logged, is_broken)
    nll = np.where(is_broken | is_negative, np.nan, raw)
    notes = []
    isolated = [evaluations[i].step for i in np.flatnonzero(is_broken).tolist() if start is None or i < start]
    if isolated:
        notes.append(f"The evaluation loss is not a usable number at step {_steps(isolated)}; nothing is judged there.")
    if is_negative.any():
        steps = [evaluations[i].step for i in np.flatnonzero(is_negative).tolist()]
        notes.append(
            f"The evaluation loss is below 0 at step {_steps(steps)}, so it is not an nll and was not used there."
        )
    if start is not None:
        e = evaluations[start]
        value = next((e.values[n] for n in names if n in e.values), math.nan)
        size = f"{value:.4g}" if math.isfinite(value) else "not a number" if math.isnan(value) else "infinite"
        notes.append(
            f"The run diverged: from step {e.step:,} on the evaluation loss is {size}. Ship nothing from there on."
        )
    return Losses(nll, start, bool(is_negative.any()), notes)


def _divergence(is_logged: Bool[np.ndarray, " checkpoints"], is_broken: Bool[np.ndarray, " checkpoints"]) -> int | None:
    """The first index after which no usable loss was logged; None if the last logged one is usable."""
    usable = np.flatnonzero(is_logged & ~is_broken)
    broken = np.flatnonzero(is_broken)
    if len(usable):
        broken = broken[broken > usable[-1]]
    return int(broken[0]) if len(broken) else None


def _steps(steps: Sequence[int]) -> str:
    return ", ".join(f"{s:,}" for s in steps[:5]) + (" and others" if len(steps) > 5 else "")
