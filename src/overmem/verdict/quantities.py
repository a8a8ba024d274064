"""What the rule looks at: perplexity and its excess, accuracy and its gap, each with its standard error.

Two precautions against the winner's curse, both by cross-fitting over ten seeded folds of the examples. The minimum of
perplexity is chosen on nine folds and its value taken from the tenth, so that an excess is not inflated by the noise of
the minimum. The accuracy to be kept is that of the *plateau*: a mean over the other checkpoints, weighted by how close
to the best they are on nine folds, and measured on the tenth. The best of K noisy accuracies would be too high, and
would move with a single lucky checkpoint.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from overmem.records import Curves
from overmem.seeds import generator

FOLDS = 10
SOFTNESS = 0.5
"""Scale of the plateau's weights: a checkpoint this many paired standard errors below the best has weight exp(-1)."""
TROUGH_SOFTNESS = 0.35
"""Scale of the trough's weights, in standard errors of the nll above the lowest."""


@dataclass(frozen=True)
class Quantities:
    """One value per checkpoint, in time order; NaN where it was not measured."""

    nll: Float[np.ndarray, " checkpoints"]
    nll_stderr: Float[np.ndarray, " checkpoints"]
    excess: Float[np.ndarray, " checkpoints"]
    """Nats per token above the minimum, cross-fitted."""
    excess_stderr: Float[np.ndarray, " checkpoints"]
    accuracy: Float[np.ndarray, " checkpoints"]
    gap: Float[np.ndarray, " checkpoints"]
    """Accuracy minus that of the plateau of the other checkpoints, cross-fitted."""
    gap_stderr: Float[np.ndarray, " checkpoints"]
    plateau: Float[np.ndarray, " checkpoints"]
    """How much each checkpoint weighs in the plateau of the whole run; sums to 1."""
    minimum: int | None
    """The checkpoint of least nll."""
    n_nll: int
    n_accuracy: int
    """Number of examples; 0 where only the curve is known."""
    step: float
    """The smallest step between two results of one example: 1 for right or wrong, 1/k for a mean over k draws."""
    notes: tuple[str, ...]
    """Why a checkpoint has no value."""

    @cached_property
    def reference(self) -> float:
        """Accuracy of the plateau."""
        return float(np.nansum(self.plateau * np.nan_to_num(self.accuracy))) if self.plateau.any() else float("nan")


def quantities(curves: Curves, *, seed: int = 0) -> Quantities:
    """Every quantity of every checkpoint, from per-example results."""
    count = len(curves.checkpoints)
    notes = list(_duplicates(curves))
    is_usable = np.array([not note for note in notes], dtype=bool)
    nll_rows, nll_examples = _complete(curves.nll_sums, is_usable)
    accuracy_rows, accuracy_examples = _complete(curves.correct, is_usable)
    for i in np.flatnonzero(is_usable):
        missing = [w for w, rows in (("nll", nll_rows), ("accuracy", accuracy_rows)) if i not in rows]
        if not missing and len(accuracy_rows) == 1:
            notes[i] = "the only checkpoint with an accuracy, so there is nothing to compare it with"
        if missing:
            notes[i] = f"no usable {' and no '.join(missing)} here"
    columns = {k: np.full(count, np.nan) for k in ("nll", "nll_stderr", "excess", "excess_stderr", "accuracy")}
    columns |= {k: np.full(count, np.nan) for k in ("gap", "gap_stderr")}
    plateau, minimum = np.zeros(count), None
    if len(nll_rows):
        sums = curves.nll_sums[np.ix_(nll_rows, nll_examples)]
        tokens = curves.token_counts[nll_examples].astype(np.float64)
        columns["nll"][nll_rows] = sums.sum(1) / tokens.sum()
        columns["nll_stderr"][nll_rows] = _ratio_stderrs(sums, tokens)
        minimum = int(nll_rows[np.argmin(columns["nll"][nll_rows])])
        columns["excess"][nll_rows], columns["excess_stderr"][nll_rows] = crossfitted_excess(sums, tokens, seed)
    if len(accuracy_rows):
        correct = curves.correct[np.ix_(accuracy_rows, accuracy_examples)].astype(np.float64)
        columns["accuracy"][accuracy_rows] = correct.mean(1)
        plateau[accuracy_rows] = plateau_weights(correct)
        columns["gap"][accuracy_rows], columns["gap_stderr"][accuracy_rows] = crossfitted_gap(correct, seed)
    return Quantities(
        **columns,
        plateau=plateau,
        minimum=minimum,
        n_nll=len(nll_examples),
        n_accuracy=len(accuracy_examples),
        step=_step(curves.correct),
        notes=tuple(notes),
    )


def _step(correct: Float[np.ndarray, "checkpoints examples"]) -> float:
    levels = np.unique(correct[np.isfinite(correct)])
    return float(np.diff(levels).min()) if len(levels) > 1 else 1.0


def _duplicates(curves: Curves) -> list[str]:
    steps = [c.step for c in curves.checkpoints]
    return ["measured again later" if s in steps[i + 1 :] else "" for i, s in enumerate(steps)]


def _complete(
    values: Float[np.ndarray, "checkpoints examples"], is_usable: Bool[np.ndarray, " checkpoints"]
) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " columns"]]:
    """The checkpoints measured on at least half of the examples, and the examples measured on all of those."""
    if not values.size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    finite = np.isfinite(values)
    covered = finite[:, finite.any(0)].mean(1) if finite.any() else np.zeros(len(values))
    rows = np.flatnonzero(is_usable & (covered >= 0.5))
    return rows, np.flatnonzero(finite[rows].all(0)) if len(rows) else np.empty(0, np.int64)


def folds(n: int, seed: int) -> Int[np.ndarray, " examples"]:
    """The fold of each example, out of FOLDS; the same for the same n and seed."""
    return np.asarray(generator("folds", n, seed).permutation(n) % min(FOLDS, max(n, 1)))


def _indicator(n: int, seed: int) -> Float[np.ndarray, "examples folds"]:
    fold = folds(n, seed)
    return np.asarray(np.eye(int(fold.max(initial=0)) + 1)[fold])


def _ratio_stderrs(
    sums: Float[np.ndarray, "checkpoints examples"], tokens: Float[np.ndarray, " examples"]
) -> Float[np.ndarray, " checkpoints"]:
    n = len(tokens)
    if n < 2:
        return np.full(len(sums), np.inf)
    residual = _residuals(sums, tokens)
    return np.asarray(np.sqrt(np.einsum("ce,ce->c", residual, residual) / (n - 1) / n))


def ratio_covariance(
    sums: Float[np.ndarray, "checkpoints examples"], tokens: Float[np.ndarray, " examples"]
) -> Float[np.ndarray, "checkpoints checkpoints"]:
    """Covariance of the errors of the checkpoints' nats per token, by linearisation; at least two examples."""
    residual, n = _residuals(sums, tokens), len(tokens)
    return np.asarray(residual @ residual.T / (n - 1) / n)


def _residuals(
    sums: Float[np.ndarray, "checkpoints examples"], tokens: Float[np.ndarray, " examples"]
) -> Float[np.ndarray, "checkpoints examples"]:
    return np.asarray((sums - (sums.sum(1) / tokens.sum())[:, None] * tokens) / tokens.mean())


def crossfitted_excess(
    sums: Float[np.ndarray, "checkpoints examples"], tokens: Float[np.ndarray, " examples"], seed: int
) -> tuple[Float[np.ndarray, " checkpoints"], Float[np.ndarray, " checkpoints"]]:
    """Nats per token above the minimum, and its standard error; the minimum of a fold is chosen on the others."""
    n = len(tokens)
    if n < 2:
        return np.zeros(len(sums)), np.full(len(sums), np.inf)
    member = _indicator(n, seed)
    rest = sums.sum(1)[:, None] - sums @ member
    chosen = rest.argmin(0)[member.argmax(1)]
    difference = sums - sums[chosen, np.arange(n)]
    return difference.sum(1) / tokens.sum(), _ratio_stderrs(difference, tokens)


def plateau_weights(
    correct: Float[np.ndarray, "checkpoints examples"],
) -> Float[np.ndarray, " checkpoints"]:
    """Weights over checkpoints that fall off as exp(-distance to the best / (SOFTNESS paired standard errors))."""
    n = correct.shape[1]
    means = correct.mean(1)
    best = int(means.argmax())
    deviation = np.sqrt(np.maximum(((correct - correct[best]) ** 2).mean(1), 1 / n) / n)
    return soft_weights(means[best] - means, SOFTNESS * deviation)


def trough_weights(
    sums: Float[np.ndarray, "checkpoints examples"], tokens: Float[np.ndarray, " examples"]
) -> Float[np.ndarray, " checkpoints"]:
    """Weights over checkpoints that fall off as exp(-nll above the lowest / (TROUGH_SOFTNESS standard errors))."""
    nll = sums.sum(1) / tokens.sum()
    lowest = int(nll.argmin())
    errors = _ratio_stderrs(sums - sums[lowest], tokens)
    return soft_weights(nll - nll[lowest], TROUGH_SOFTNESS * errors)


def soft_weights(
    distance: Float[np.ndarray, " checkpoints"], scale: Float[np.ndarray, " checkpoints"]
) -> Float[np.ndarray, " checkpoints"]:
    """exp(-distance / scale), made to sum to 1; at distance 0 the scale does not matter."""
    weights = np.exp(-distance / np.maximum(scale, 1e-12))
    return np.asarray(weights / weights.sum())


def crossfitted_gap(
    correct: Float[np.ndarray, "checkpoints examples"], seed: int
) -> tuple[Float[np.ndarray, " checkpoints"], Float[np.ndarray, " checkpoints"]]:
    """Each checkpoint's accuracy minus that of the plateau of the others, and its standard error.

    The plateau's weights of a fold come from the other folds. A checkpoint is never part of its reference.
    """
    count, n = correct.shape
    if count < 2 or n < 2:
        return np.full(count, np.nan), np.full(count, np.nan)
    member = _indicator(n, seed)
    per_fold = correct @ member
    sizes = n - member.sum(0)
    rest = (correct.sum(1)[:, None] - per_fold) / sizes
    best = rest.argmax(0)
    square = correct**2
    spread = square.sum(1)[:, None] + square.sum(1)[None, best] - 2 * (correct @ correct[best].T)
    deviation = np.sqrt(np.maximum(spread / n, 1 / n) / n)
    distance = (rest[best, np.arange(len(best))] - rest) / (SOFTNESS * deviation)
    closest = np.sort(distance, axis=0)[:2]
    is_closest = distance.argmin(0)[None] == np.arange(count)[:, None]
    shift = np.where(is_closest, closest[1], closest[0])
    weights = np.exp(shift[:, None] - distance[None]) * (1 - np.eye(count))[:, :, None]
    weights /= weights.sum(1, keepdims=True)
    gaps, squares = np.zeros(count), np.zeros(count)
    fold = member.argmax(1)
    for f in range(member.shape[1]):
        here = correct[:, fold == f]
        difference = here - weights[:, :, f] @ here
        gaps += difference.sum(1)
        squares += (difference**2).sum(1)
    gaps /= n
    errors = np.sqrt(np.maximum(squares / n - gaps**2, 0.0) / (n - 1))
    return gaps, errors
