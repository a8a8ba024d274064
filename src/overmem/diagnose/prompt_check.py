"""Whether the audit reads the evaluation rows as the trainer did: its own nll against the logged evaluation loss."""

from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np

from overmem import statistics, store
from overmem.errors import BadRequest
from overmem.records import Curves
from overmem.store.logs import LogCurves, read_log
from overmem.wording.prompt_check import agreement_sentence, difference_sentence

STDERRS = 4.0
"""Standard errors beyond which a difference of two samples of this size is not noise."""
STDERRS_OF_SAME = 1.0
"""The same if the rows are the same, and only the trainer's averaging over batches differs."""
TOLERANCE = 0.05
"""Relative difference that the mean over batches, another precision and padding may make."""


@dataclass(frozen=True)
class PromptCheck:
    """The result of comparing the two losses."""

    warnings: tuple[str, ...] = ()
    """One warning if they differ beyond noise at most of the common steps."""
    sentences: tuple[str, ...] = ()
    """One sentence if they agree."""


@dataclass(frozen=True)
class Pair:
    """Two measurements of one checkpoint."""

    checkpoint: str
    audited: float
    """Nats per token by the audit."""
    logged: float
    """The evaluation loss that the trainer logged."""
    stderr: float
    """Standard error of `audited`."""
    n: int
    """Rows that `audited` was measured on."""


def prompt_check(run: store.Run, val: Curves, split: str) -> PromptCheck:
    """The audit's nll compared with the trainer's evaluation loss, at the steps that have both.

    Nothing is compared if the trainer logged no evaluation, or a loss that is not nll.
    """
    try:
        logged = read_log(run.root)
    except BadRequest:
        return PromptCheck()
    if not logged.is_nll:
        return PromptCheck()
    pairs = _pairs(val, logged)
    if not pairs:
        return PromptCheck()
    shown = store.read_shown(run)
    rows = same_rows(logged, shown.rows if shown else None, by_recipe=bool(shown and shown.by_recipe), n=pairs[-1].n)
    differing = [p for p in pairs if abs(p.audited - p.logged) > _noise(p, is_same=rows.startswith("same"))]
    if 2 * len(differing) <= len(pairs):
        last = pairs[-1]
        sentence = agreement_sentence(
            last.checkpoint, last.audited, last.logged, split=split, n=last.n, steps=len(pairs), rows=rows
        )
        return PromptCheck(sentences=(sentence,))
    worst = max(differing, key=lambda p: abs(p.audited - p.logged))
    warning = difference_sentence(
        worst.checkpoint, worst.audited, worst.logged, split=split, n=worst.n, rows=rows, shown=shown
    )
    return PromptCheck(warnings=(warning,))


def same_rows(logged: LogCurves, rows: int | None, *, by_recipe: bool, n: int) -> str:
    """What is known of the trainer's evaluation rows: `same by ...`, `as many`, `others` or `unknown`.

    Args:
        logged: the trainer's log.
        rows: all rows of the audit's split, measured or not; None if that is not known.
        by_recipe: whether the run's own recipe evaluates on that split.
        n: rows that the audit measured.
    """
    if logged.evaluation_set == "val" and logged.by_callback and logged.rows in (n, rows):
        return "same by callback"
    if by_recipe:
        return "same by recipe"
    if logged.rows is None or rows is None:
        return "unknown"
    return "as many" if logged.rows in (n, rows) else f"others {logged.rows}"


def _noise(pair: Pair, *, is_same: bool) -> float:
    """The difference up to which two measurements of one checkpoint count as equal."""
    stderrs = STDERRS_OF_SAME if is_same else STDERRS
    return stderrs * sqrt(2) * pair.stderr + TOLERANCE * pair.logged


def _pairs(val: Curves, logged: LogCurves) -> list[Pair]:
    logged_losses = {c.step: float(x) for c, x in zip(logged.checkpoints, logged.nll, strict=True) if isfinite(x)}
    pairs = []
    for i, checkpoint in enumerate(val.checkpoints):
        rows = np.isfinite(val.nll_sums[i])
        if checkpoint.step not in logged_losses or checkpoint.merged_from or rows.sum() < 2:
            continue
        own = statistics.ratio(val.nll_sums[i, rows], val.token_counts[rows].astype(np.float64))
        if own.value is not None and own.low is not None and own.high is not None:
            stderr = (own.high - own.low) / 3.92
            pairs.append(Pair(checkpoint.name, own.value, logged_losses[checkpoint.step], stderr, int(rows.sum())))
    return pairs
