"""Everything that is tested about a run: rise, accuracy and memory of each trained checkpoint."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from overmem.records import Curves
from overmem.verdict.accuracy import AccuracyTests, accuracy_tests
from overmem.verdict.clusters import clusters, log_ratio_and_covariance, mean_and_covariance
from overmem.verdict.memory import MemoryTests, memory_tests
from overmem.verdict.rise import NATS, RISE, RiseTests, rise_tests

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
    unlike: bool = False
    """Val and train are told apart by their words alone, so memory cannot be told from style."""


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
) -> Facts | None:
    """The tests of a run; None where no trained checkpoint has both nll and accuracy.

    Args:
        val: curves of val, the base model among them where it was measured.
        train: curves of the training rows, likewise.
        margin: loss of accuracy that does not matter; a tenth of the plateau where that is less.
        rise: the relative rise of nll that matters.
        nats: the rise in nats per solution that matters.
        d_nll: the rise in nats per token that matters, in place of both.
        chance: accuracy of a guess.
        unlike: val and train are not one distribution.
    """
    rows, kept = judged_rows(val)
    if not len(rows):
        return None
    sums, correct = val.nll_sums[np.ix_(rows, kept)], val.correct[np.ix_(rows, kept)]
    tokens = val.token_counts[kept].astype(np.float64)
    groups = None if val.groups is None else val.groups[kept]
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
    )
    return Facts(
        rows,
        risen,
        held,
        None if train is None else _memory(val, train, rows, risen.luck.deviation),
        count,
        bool(held.level - 1.645 * held.level_stderr > chance + held.margin / 2 and held.level > chance + held.margin),
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
        train_groups=None if train.groups is None else train.groups[t],
        val_groups=None if val.groups is None else val.groups[v],
        luck=luck,
    )
