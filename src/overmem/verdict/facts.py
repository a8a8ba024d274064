"""Everything that is tested about a run: rise, accuracy and memory of each trained checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from overmem.records import Curves
from overmem.verdict.accuracy import AccuracyTests, accuracy_tests
from overmem.verdict.clusters import clusters, log_ratio_and_covariance, mean_and_covariance
from overmem.verdict.dips import Dip, dips
from overmem.verdict.luck import ENOUGH
from overmem.verdict.memory import MemoryTests, memory_tests
from overmem.verdict.rise import NATS, RISE, RiseTests, rise_tests

ASSUMED_NLL = 0.01
"""Standard error of a logged nll, in nats per token, where too few points show their scatter."""
ASSUMED_ACCURACY = 0.02
"""The same of a logged accuracy, where the number of examples is not known."""
DISCORDANCE = 0.10
"""Share of answers assumed to differ between two logged checkpoints of equal accuracy."""
FREEDOM = 1000
"""Degrees of freedom where the number of examples is not known."""
COVERED = 0.5
"""A checkpoint counts where it was measured on at least this share of the examples."""


@dataclass(frozen=True)
class Facts:
    """The tests of one run. `rows` are the judged checkpoints' places in the curves, in time order."""

    rows: Int[np.ndarray, " judged"]
    rise: RiseTests
    accuracy: AccuracyTests
    memory: MemoryTests | None
    """None where no training rows were scored at all of these checkpoints."""
    clusters: int
    """Independent questions of val."""
    solvable: bool
    """The plateau is shown to lie above chance by the margin."""
    chance: float = 0.0
    """Accuracy of a guess."""
    dips: tuple[Dip, ...] = ()
    """Falls of accuracy that come back, and one at the end that may."""
    unlike: bool = False
    """Val and train can be distinguished by their words alone, so memory cannot be distinguished from style."""


def facts(
    val: Curves,
    train: Curves | None = None,
    *,
    margin: float = 0.03,
    rise: float = RISE,
    nats: float = NATS,
    d_nll: float | None = None,
    chance: float = 0.0,
    unlike: bool = False,
    alpha: float = 0.05,
) -> Facts | None:
    """The tests of a run; None where fewer than two trained checkpoints have both nll and accuracy.

    Args:
        val: curves of val, the base model among them where it was measured.
        train: curves of the training rows, likewise.
        margin: loss of accuracy that does not matter; a tenth of the plateau where that is less.
        rise: the relative rise of nll that matters.
        nats: the rise in nats per solution that matters.
        d_nll: the rise in nats per token that matters, in place of both.
        chance: accuracy of a guess.
        unlike: val and train are not one distribution.
        alpha: level of lower bounds.
    """
    rows, kept = judged_rows(val)
    if len(rows) < 2:
        return None
    sums, correct = val.nll_sums[np.ix_(rows, kept)], val.correct[np.ix_(rows, kept)]
    tokens = val.token_counts[kept].astype(np.float64)
    groups = val.groups_of(kept)
    count = clusters(len(tokens), groups)
    levels, spread = log_ratio_and_covariance(sums, tokens, groups)
    means, covariance = mean_and_covariance(correct, groups)
    risen = rise_tests(levels, spread, max(count - 1, 1), float(tokens.mean()), rise=rise, nats=nats, d_nll=d_nll)
    steps = np.unique(correct)
    held = accuracy_tests(
        means,
        covariance,
        max(count - 1, 1),
        margin,
        risen.trough,
        float(np.diff(steps).min()) if len(steps) > 1 else 1.0,
        count,
        alpha,
        risen.p_costly < alpha,
    )
    return Facts(
        rows,
        risen,
        held,
        None if train is None else _memory(val, train, rows, risen.luck.deviation),
        count,
        _solvable(held, chance),
        chance,
        dips(means, covariance, count, held.margin, alpha),
        unlike,
    )


def judged_rows(val: Curves) -> tuple[Int[np.ndarray, " judged"], Bool[np.ndarray, " examples"]]:
    """Trained checkpoints measured on enough examples, and the examples measured at all of them."""
    finite = np.isfinite(val.nll_sums) & np.isfinite(val.correct)
    seen = finite.any(0)
    share = finite[:, seen].mean(1) if seen.any() else np.zeros(len(finite))
    steps = [c.step for c in val.checkpoints]
    rows = [
        i
        for i, c in enumerate(val.checkpoints)
        if c.step > 0 and not c.merged_from and share[i] >= COVERED and c.step not in steps[i + 1 :]
    ]
    kept = finite[rows].all(0) if rows else np.zeros(finite.shape[1], dtype=bool)
    return (np.array(rows, dtype=np.int64) if kept.sum() > 1 else np.empty(0, np.int64)), kept


def _memory(val: Curves, train: Curves, rows: Int[np.ndarray, " judged"], luck: float) -> MemoryTests | None:
    places = {c.name: i for i, c in enumerate(train.checkpoints)}
    names = [val.checkpoints[i].name for i in rows]
    if any(name not in places for name in names):
        return None
    base = next((i for i, c in enumerate(val.checkpoints) if c.step == 0 and c.name in places), None)
    mine, theirs = list(rows), [places[name] for name in names]
    if base is not None:
        mine, theirs = [base, *mine], [places[val.checkpoints[base].name], *theirs]
    v, t = np.isfinite(val.nll_sums[mine]).all(0), np.isfinite(train.nll_sums[theirs]).all(0)
    if v.sum() < 2 or t.sum() < 2:
        return None
    return memory_tests(
        train.nll_sums[theirs][:, t],
        train.token_counts[t].astype(np.float64),
        val.nll_sums[mine][:, v],
        val.token_counts[v].astype(np.float64),
        base=base is not None,
        train_groups=train.groups_of(t),
        val_groups=val.groups_of(v),
        luck=luck,
    )


def facts_of_curve(
    nll: Float[np.ndarray, " checkpoints"],
    accuracy: Float[np.ndarray, " checkpoints"],
    steps: Sequence[int],
    n: int | None,
    *,
    margin: float = 0.03,
    rise: float = RISE,
    d_nll: float | None = None,
    chance: float = 0.0,
    unlike: bool = False,
    alpha: float = 0.05,
) -> Facts | None:
    """The tests of a logged curve: the noise is what the scatter of the curve shows, and what `n` examples imply.

    Args:
        nll: in nats per token; NaN where none was logged.
        accuracy: as a fraction; likewise.
        steps: of the checkpoints, in time order.
        n: examples behind the accuracy; None where unknown.
        margin: loss of accuracy that does not matter; a tenth of the plateau where that is less.
        rise: the relative rise of nll that matters.
        d_nll: the rise in nats per token that matters, in its place.
        chance: accuracy of a guess.
        unlike: val and train are not one distribution.
        alpha: level of lower bounds.
    """
    finite = np.isfinite(nll) & np.isfinite(accuracy) & (np.array(steps) > 0)
    last = {step: i for i, step in enumerate(steps)}
    rows = np.array([i for i in np.flatnonzero(finite).tolist() if last[steps[i]] == i], dtype=np.int64)
    if len(rows) < 2:
        return None
    count = len(rows)
    few = count < ENOUGH
    levels = np.log(np.maximum(nll[rows], 1e-6))
    relative = ASSUMED_NLL / np.maximum(nll[rows], ASSUMED_NLL) if few else np.full(count, 1e-4)
    own = DISCORDANCE / 2 / n if n else ASSUMED_ACCURACY**2 if few else 1e-8
    risen = rise_tests(levels, np.diag(relative**2), FREEDOM, None, rise=rise, nats=0.0, d_nll=d_nll)
    held = accuracy_tests(
        accuracy[rows],
        own * np.eye(count),
        n - 1 if n else FREEDOM,
        margin,
        risen.trough,
        alpha=alpha,
        risen=risen.p_costly < alpha,
    )
    fallen = dips(accuracy[rows], own * np.eye(count), n, held.margin, alpha) if n else ()
    return Facts(rows, risen, held, None, n or 0, _solvable(held, chance), chance, fallen, unlike)


def _solvable(held: AccuracyTests, chance: float) -> bool:
    lowest = held.level - 1.645 * held.level_stderr
    return bool(lowest > chance + (held.margin if chance else held.margin / 2) and held.level > chance + held.margin)
